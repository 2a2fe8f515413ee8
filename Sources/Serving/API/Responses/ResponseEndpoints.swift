import Generation
import HTTPTypes
import Hummingbird
import NIOCore
import Support

/// /v1/responses: conversations that the server keeps, each turn of which goes on from the state of any earlier one.
struct ResponseEndpoints: Sendable {
    let shelf: ModelShelf

    func add(to router: Router<ServerContext>) {
        router.post("/v1/responses") { try await create($0, $1) }
        router.get("/v1/responses/:id") { _, context in
            Response.json(.object(try await found(context).record.response))
        }
        router.delete("/v1/responses/:id") { _, context in try await remove(context) }
        router.get("/v1/responses/:id/state") { _, context in
            let (service, record, _) = try await found(context)
            return try await StateEndpoints(service: service).download(record, context)
        }
    }

    private func create(_ request: Request, _ context: ServerContext) async throws -> Response {
        var request = request
        var fields = try await RequestBodies.fields(&request, shelf.options)
        let id = try fields.string("previous_response_id")
        let name = try fields.string("model")
        let service: ModelService
        var previous: (id: String, record: ResponseRecord)?
        if let id {
            guard let owner = try await shelf.use(name, response: id),
                let record = try await owner.responses.find(id, scope: context.scope)
            else { throw Self.unknown(id, param: "previous_response_id", status: .badRequest) }
            (service, previous) = (owner, (id, record))
        } else {
            service = try await shelf.use(name)
        }
        var plan = try ResponseRequest.plan(&fields, previous: previous, service)
        (plan.request.owner, plan.request.scope) = (context.owner, context.scope)
        return try await GenerationEndpoint(service: service).respond(
            try ResponseAnswer(plan, service), isStreamed: plan.isStreamed, request, context)
    }

    /// What a path tells of, and the model whose it is.
    private func found(
        _ context: ServerContext
    ) async throws -> (service: ModelService, record: ResponseRecord, id: String) {
        let id = try context.parameters.require("id")
        guard let service = try await shelf.use(nil, response: id),
            let record = try await service.responses.find(id, scope: context.scope)
        else { throw Self.unknown(id, param: nil, status: .notFound) }
        return (service, record, id)
    }

    /// Forgets a response, and the state that it left.
    private func remove(_ context: ServerContext) async throws -> Response {
        let (service, record, id) = try await found(context)
        try await service.responses.remove(id, scope: context.scope)
        try await service.scheduler.forget(Array(record.tokens[..<record.stateTokens]), scope: context.scope)
        return Response.json(["id": .string(id), "object": "response", "deleted": true])
    }

    private static func unknown(_ id: String, param: String?, status: HTTPResponse.Status) -> APIError {
        APIError(
            status: status, message: "no response with the id '\(ForeignText.line(id, limit: 80))' is kept",
            type: "invalid_request_error", param: param, code: "response_not_found")
    }
}
