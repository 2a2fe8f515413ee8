import Generation
import Hummingbird
import Models
import Support

/// /memory: what the model's memory does with one token of a text or a conversation. Nothing is computed for it unless it is asked.
enum MemoryEndpoint {
    static func respond(_ request: Request, _ context: ServerContext, _ shelf: ModelShelf) async throws -> Response {
        var request = request
        var fields = try await RequestBodies.fields(&request, shelf.options)
        let service = try await shelf.use(&fields)
        let tokens = try TokenizerEndpoints.tokens(&fields, service)
        guard !tokens.isEmpty else {
            throw APIError.invalid("prompt", "prompt: expected at least one token, found none")
        }
        let position = try fields.integer("position", 1...tokens.count) ?? tokens.count
        try fields.finish()
        let (token, before) = (tokens[position - 1], Array(tokens[..<(position - 1)]))
        guard let uses = try await uses(of: token, after: before, context, service) else {
            throw APIError(
                status: .notImplemented,
                message:
                    "the state before the token is not kept: --state-reuse or --state-cache-size leaves it no room",
                type: "not_supported_error", code: "not_supported")
        }
        return Response.json([
            "object": "memory", "model": .string(service.name), "position": .integer(position),
            "token": [
                "id": .integer(Int(token)), "text": .string(TokenTexts(tokenizer: service.tokenizer).name(token)),
            ],
            "n_layers": .integer(service.model.configuration.decoder.layerCount), "layers": .array(uses.map(json)),
        ])
    }

    /// Reads what stands before the token, from where a stored state leaves off, unless its own state is kept.
    private static func uses(
        of token: Int32, after before: [Int32], _ context: ServerContext, _ service: ModelService
    ) async throws -> [MemoryUse]? {
        let scheduler = service.scheduler
        if let known = try await scheduler.memoryUses(of: token, after: before, scope: context.scope) { return known }
        var usual = RequestFields(JSONObject())
        var reading = try service.request(before, SamplingFields(&usual, service), limit: 1)
        (reading.owner, reading.scope, reading.isDurable) = (context.owner, context.scope, false)
        for try await _ in try scheduler.submit(reading) {}
        return try await scheduler.memoryUses(of: token, after: before, scope: context.scope)
    }

    private static func json(_ use: MemoryUse) -> JSONValue {
        let slots = use.slots.map { slots -> JSONValue in
            ["count": .integer(slots.slots), "kept": numbers(slots.kept), "read": numbers(slots.read)]
        }
        return [
            "layer": .integer(use.layer), "mixer": .string(use.mixer),
            "heads": .array(use.heads.map { .integer($0) }), "norms": numbers(use.norms), "kept": numbers(use.kept),
            "window_shares": use.windowShares.isEmpty ? .null : numbers(use.windowShares), "slots": slots ?? .null,
        ]
    }

    /// Five digits behind the point tell slots apart that keep all but nothing.
    private static func numbers(_ values: [Float]) -> JSONValue {
        .array(values.map { .number((Double($0) * 1e5).rounded() / 1e5) })
    }
}
