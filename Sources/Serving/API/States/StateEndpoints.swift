import Generation
import HTTPTypes
import Hummingbird
import NIOCore
import Support

/// States that leave the server and come back: with a head that only this server can make, so that none other is taken in.
struct StateEndpoints: Sendable {
    let service: ModelService

    /// The state that a response has left, as a file.
    func download(_ record: ResponseRecord, _ context: ServerContext) async throws -> Response {
        let tokens = Array(record.tokens[..<record.stateTokens])
        guard var state = try await service.scheduler.state(after: tokens, scope: context.scope) else {
            throw APIError(
                status: .notFound, message: "the response's state is no longer kept; its next turn makes one again",
                type: "invalid_request_error", code: "state_not_found")
        }
        state.notes["response"] = record.json
        let (sealed, service) = (state, service)
        let bytes = try await service.aside {
            let file = try sealed.encoded(for: service.modelFingerprint)
            return SealedState(file, fingerprint: service.modelFingerprint).head(secret: service.secret) + file
        }
        return Response(
            status: .ok, headers: [.contentType: "application/octet-stream"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    /// Takes in a state that this server has given out, as a response of its own.
    func upload(_ request: Request, _ context: ServerContext) async throws -> Response {
        let file = try await RequestBodies.within(service.options.requestSeconds) { [self] in
            try await genuine(request.body)
        }
        let service = service
        let (state, record) = try await service.aside { () -> (StoredState, ResponseRecord) in
            let state = try StoredState(file, path: "state", model: service.model)
            guard let record = state.notes["response"].flatMap(ResponseRecord.init) else { throw Self.forged }
            return (state, record)
        }
        var kept = record
        let id = ResponseKey.newID(of: service.name)
        kept.response["id"] = .string(id)
        kept.response["previous_response_id"] = .null
        try await service.scheduler.keep(state, scope: context.scope, isDurable: true)
        try await service.responses.keep(kept, id: id, scope: context.scope)
        return Response.json([
            "id": .string(id), "object": "response.state", "model": .string(service.name),
            "tokens": .integer(state.tokens.count), "bytes": .integer(file.count),
        ])
    }

    /// The state file of a body that this server made; a body that has another's head is not read on.
    private func genuine(_ body: RequestBody) async throws -> [UInt8] {
        var (bytes, seal) = ([UInt8](), SealedState?.none)
        for try await buffer in body {
            bytes += buffer.readableBytesView
            if seal == nil, bytes.count >= SealedState.headBytes {
                let head = Array(bytes.prefix(SealedState.headBytes))
                guard let genuine = SealedState(head: head, secret: service.secret) else {
                    throw Self.forged.leavingBody
                }
                guard genuine.fingerprint == service.modelFingerprint else {
                    throw APIError.invalid(nil, "the state is of another model", code: "other_model").leavingBody
                }
                bytes.removeFirst(SealedState.headBytes)
                bytes.reserveCapacity(genuine.length)
                seal = genuine
            }
            guard bytes.count <= seal?.length ?? SealedState.headBytes else {
                throw Self.forged.leavingBody
            }
        }
        guard let seal, bytes.count == seal.length, seal.matches(bytes) else { throw Self.forged }
        return bytes
    }

    private static let forged = APIError(
        status: .badRequest, message: "the state was not given out by this server, or was changed since",
        type: "invalid_request_error", code: "forged_state")
}
