import Models
import Tensors

/// Continues independent sequences together, a token each per step: the weights are read once for all of them. Requests
/// join when there is a free place and leave when they end or are cancelled, at any step. A prompt is read in segments,
/// one a step, so that a long one does not hold up those that are running.
public final class BatchGenerator {
    /// A prompt to continue.
    public struct Request: Sendable {
        /// Token ids; at least one.
        public var prompt: [Int32]
        /// Picks each token; its random numbers go on from where they stand.
        public var sampler: Sampler
        /// The most tokens to generate.
        public var limit: Int
        /// Tokens that end the sequence and are not part of it.
        public var stops: Set<Int32>

        /// A request to continue `prompt` by at most `limit` tokens.
        public init(prompt: [Int32], sampler: Sampler, limit: Int, stops: Set<Int32> = []) {
            (self.prompt, self.sampler, self.limit, self.stops) = (prompt, sampler, limit, stops)
        }
    }

    /// What a step brought.
    public enum Event: Sendable, Equatable {
        /// The next token of request `id`.
        case token(id: Int, Int32)
        /// Request `id` has ended and left.
        case finished(id: Int, FinishReason)
    }

    /// Why a request ended: as many tokens as were asked for, a stop token, or logits that are not finite.
    public enum FinishReason: String, Sendable { case limit, stop, nonFinite }

    private final class Sequence {
        let id: Int
        var request: Request
        let state: DecoderState
        /// Tokens of the prompt that were read.
        var read = 0
        /// Picked and emitted, but not read yet.
        var pending: Int32 = 0
        var generated = 0
        var recent: RecentTokens

        init(id: Int, _ request: Request, state: DecoderState) {
            (self.id, self.request, self.state) = (id, request, state)
            recent = RecentTokens(request.prompt)
        }

        var isReading: Bool { read < request.prompt.count }

        /// The tokens that count as seen lately.
        var recently: ArraySlice<Int32> { recent.last(request.sampler.options.repetitionWindow) }
    }

    /// The model that continues all of them.
    public let model: DecoderModel
    /// The most sequences of one step.
    public var capacity: Int { step.capacity }
    private let step: any DecodingStep
    private var waiting: [(id: Int, request: Request)] = []
    private var active: [Sequence] = []
    private var nextID = 0

    /// A generator without requests.
    /// - Parameter capacity: the most sequences of one step, at least 1.
    /// - Throws: `TensorError` when memory runs out.
    public init(_ model: DecoderModel, capacity: Int = 8) throws {
        self.model = model
        step = try model.makeStep(capacity: capacity)
    }

    /// Requests that have not ended.
    public var count: Int { waiting.count + active.count }
    /// Whether all requests have ended.
    public var isEmpty: Bool { count == 0 }

    /// Queues a request.
    /// - Returns: its id, by which events name it: 0, 1, 2, ... in the order of adding.
    /// - Throws: ``GenerationError`` for an empty prompt or a limit below 1, or the model's error for a token that it
    ///   does not have.
    public func add(_ request: Request) throws -> Int {
        guard !request.prompt.isEmpty else { throw GenerationError.emptyPrompt }
        guard request.limit > 0 else {
            throw GenerationError.option(name: "limit", expected: "1 or more", found: "\(request.limit)")
        }
        try model.require(request.prompt)
        waiting.append((nextID, request))
        nextID += 1
        return nextID - 1
    }

    /// Takes a request out; nothing happens when it has ended.
    public func cancel(_ id: Int) {
        waiting.removeAll { $0.id == id }
        active.removeAll { $0.id == id }
    }

    /// Reads a segment of a prompt if one is waiting, and then generates one token of every sequence that has read its
    /// own. Repeat until ``isEmpty``.
    public func advance() throws -> [Event] {
        while active.count < capacity, !waiting.isEmpty {
            let (id, request) = waiting.removeFirst()
            active.append(Sequence(id: id, request, state: try model.makeState()))
        }
        var events: [Event] = []
        let running = active.filter { !$0.isReading }
        if let reading = active.first(where: \.isReading) { try readSegment(of: reading, &events) }
        if !running.isEmpty {
            try step.read(running.map(\.pending), states: running.map(\.state))
            let choices = running.map { $0.request.sampler.choice(after: $0.recently) }
            let picked =
                choices.contains { $0 != nil } ? try step.pick(choices.map { $0 ?? TokenChoice() }) : nil
            for (row, sequence) in running.enumerated() {
                try pick(sequence, &events) { try $0.token(row, of: step, picked: picked, after: $1) }
            }
        }
        active.removeAll { sequence in
            events.contains { if case .finished(sequence.id, _) = $0 { true } else { false } }
        }
        return events
    }

    private func readSegment(of sequence: Sequence, _ events: inout [Event]) throws {
        let prompt = sequence.request.prompt
        let end = min(sequence.read + GenerationSession.segment, prompt.count)
        let logits = try model.nextLogits(Array(prompt[sequence.read..<end]), state: sequence.state)
        sequence.read = end
        guard !sequence.isReading else { return }
        try pick(sequence, &events) { try $0.sample(logits, after: $1) }
    }

    /// Picks the next token of `sequence`. One whose logits are not finite ends; the others go on.
    private func pick(
        _ sequence: Sequence, _ events: inout [Event],
        by sample: (inout Sampler, _ recent: ArraySlice<Int32>) throws -> Int32
    ) throws {
        let token: Int32
        do {
            token = try sample(&sequence.request.sampler, sequence.recently)
        } catch GenerationError.nonFiniteLogits {
            return events.append(.finished(id: sequence.id, .nonFinite))
        }
        if sequence.request.stops.contains(token) { return events.append(.finished(id: sequence.id, .stop)) }
        events.append(.token(id: sequence.id, token))
        sequence.pending = token
        sequence.recent.append(CollectionOfOne(token))
        sequence.generated += 1
        if sequence.generated == sequence.request.limit { events.append(.finished(id: sequence.id, .limit)) }
    }
}
