import Foundation
import Generation
import Models
import Support
import Tokenizers

/// A model that is served: what endpoints need to know of it.
struct ModelService: Sendable {
    /// What clients call it.
    let name: String
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
    let metrics: ServerMetrics
    let modelFingerprint: UInt64
    /// Tells this model's answers from others'.
    let fingerprint: String
    private let ends: Set<Int32>
    /// What the model's card tells beside its name.
    let details: JSONValue
    /// Held by who uses the model: it stays as long.
    var lease: ModelShelf.Lease?

    /// - Parameters:
    ///   - secret: what states are signed with that are given out, where there is no folder, which has its own.
    ///   - warn: called with a line when something of the folder for states cannot be used or written.
    /// - Throws: what `Scheduler` and `StateFolder` do.
    init(
        _ contents: ServedModel.Contents, name: String, options: ServerOptions, secret: [UInt8], metrics: ServerMetrics,
        warn: @escaping @Sendable (String) -> Void
    ) throws {
        (model, tokenizer, defaults) = (contents.model, contents.tokenizer, contents.defaults)
        (self.name, self.options, self.metrics) = (name, options, metrics)
        modelFingerprint = try model.fingerprint()
        fingerprint = "moult-" + String(modelFingerprint, radix: 16)
        folder = try options.stateFolder.map {
            try StateFolder(path: $0, budget: options.stateDiskBytes, model: contents.model, warn: warn)
        }
        self.secret = folder?.secret ?? secret
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

    /// Ends everything, and waits until all states are written.
    func end() {
        scheduler.end()
        folder?.close()
    }
}
