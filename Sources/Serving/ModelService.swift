import Foundation
import Generation
import Models
import Support
import Tokenizers

/// A model that is served: what endpoints need to know of it.
struct ModelService: Sendable {
    let options: ServerOptions
    let model: DecoderModel
    let tokenizer: Tokenizer
    /// How tokens are picked where a request does not say.
    let defaults: SamplingDefaults
    let scheduler: Scheduler
    /// Where states outlive the server.
    let folder: StateFolder?
    let responses: ResponseStore
    /// What states that are given out are signed with.
    let secret: [UInt8]
    let aside = BlockingWork()
    let constraints: ConstraintStore
    let metrics = ServerMetrics()
    let modelFingerprint: UInt64
    /// Tells this model's answers from others'.
    let fingerprint: String
    /// Seconds since 1970.
    let created = Int(Date().timeIntervalSince1970)
    private let ends: Set<Int32>
    /// What the model's card tells beside its name.
    private let details: JSONValue

    /// - Parameter warn: called with a line when something of the folder for states cannot be used or written.
    /// - Throws: what `Scheduler` and `StateFolder` do.
    init(
        _ model: DecoderModel, tokenizer: Tokenizer, defaults: SamplingDefaults, options: ServerOptions,
        warn: @escaping @Sendable (String) -> Void
    ) throws {
        try options.check()
        (self.model, self.tokenizer, self.defaults, self.options) = (model, tokenizer, defaults, options)
        modelFingerprint = try model.fingerprint()
        fingerprint = "moult-" + String(modelFingerprint, radix: 16)
        folder = try options.stateFolder.map {
            try StateFolder(path: $0, budget: options.stateDiskBytes, model: model, warn: warn)
        }
        secret = folder?.secret ?? SealedState.newSecret()
        // Conversations may take a tenth of what states may, beside it.
        responses = try ResponseStore(
            bytes: options.scheduler.stateBytes / 10, states: folder, diskBytes: options.stateDiskBytes / 10,
            warn: warn)
        var scheduling = options.scheduler
        scheduling.folder = folder
        scheduling.warmsUp = true
        scheduler = try Scheduler(model, tokenizer: tokenizer, options: scheduling)
        constraints = ConstraintStore(tokenizer)
        ends = tokenizer.stops(model.configuration.decoder.eosTokens)
        details = try Self.details(model, defaults)
    }

    var vocabularySize: Int { model.configuration.decoder.vocabularySize }

    /// - Throws: ``APIError`` where a request names another model.
    func checkModel(_ fields: inout RequestFields) throws {
        guard let name = try fields.string("model"), name != options.name else { return }
        throw Self.unknown(name)
    }

    static func unknown(_ name: String) -> APIError {
        APIError(
            status: .notFound, message: "the model '\(ForeignText.line(name, limit: 80))' does not exist",
            type: "invalid_request_error", param: "model", code: "model_not_found")
    }

    /// - Throws: ``APIError`` for a prompt that is too long.
    func request(
        _ prompt: [Int32], _ sampling: SamplingFields, limit: Int, moreStops: [String] = []
    ) throws -> SequenceRequest {
        guard prompt.count <= options.maximumPrompt else {
            throw APIError.invalid(
                "prompt", "the prompt has \(prompt.count) tokens; at most \(options.maximumPrompt) are read",
                code: "context_length_exceeded")
        }
        let strings = try StopStrings(sampling.strings + moreStops)
        var request = SequenceRequest(prompt: prompt, samplers: sampling.samplers, limit: limit, strings: strings)
        request.stops = sampling.stops.union(strings.tokens(tokenizer)).union(sampling.ignoresEnd ? [] : ends)
        request.reusesStates = sampling.reusesStates
        request.slot = sampling.slot
        request.deadline = .now + .seconds(options.requestSeconds)
        return request
    }

    /// The model as lists of models have it.
    var card: JSONValue {
        [
            "id": .string(options.name), "object": "model", "created": .integer(created), "owned_by": "moult",
            "max_model_len": .integer(options.maximumPrompt),
            "meta": details,
        ]
    }
}
