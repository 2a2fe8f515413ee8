import Models
import Tensors

/// A prompt that is read a segment at a time, or short prompts of one client that are scored together.
final class PromptJob {
    let orders: [PromptOrder]
    private(set) var hasBegun = false
    /// Of a prompt that is read by itself.
    private var state: DecoderState?
    private var position = 0
    private var cached = 0
    /// Whether everything up to `position` was read in whole segments.
    private var isExact = true
    private var likelihoods: [TokenLikelihood] = []
    private var start: ContinuousClock.Instant?
    private let isPacked: Bool

    /// Tokens of short prompts that are scored at once.
    private static let packedTokens = 1024

    private init(_ orders: [PromptOrder], isPacked: Bool) { (self.orders, self.isPacked) = (orders, isPacked) }

    /// The jobs of requests that came together.
    static func packs(_ orders: [PromptOrder]) -> (packed: [PromptJob], single: [PromptJob]) {
        var (packs, single) = ([[PromptOrder]](), [PromptJob]())
        var room = 0
        for order in orders {
            let count = order.request.prompt.count
            guard order.request.isScoring, count <= packedTokens else {
                single.append(PromptJob([order], isPacked: false))
                continue
            }
            if count > room {
                packs.append([])
                room = packedTokens
            }
            packs[packs.count - 1].append(order)
            room -= count
        }
        return (packs.map { PromptJob($0, isPacked: true) }, single)
    }

    private var first: SequenceRequest { orders[0].request }
    var owner: String { first.owner }
    var arrival: ContinuousClock.Instant { orders[0].arrival }
    var tokensLeft: Int { orders.reduce(0) { $0 + $1.request.prompt.count } - position }
    /// Whether it holds a state, and will take part in steps.
    var needsPlace: Bool { !isPacked }

    func begin() { hasBegun = true }

    func fail(_ error: any Error) { for order in orders { order.channel.finish(error) } }

    /// Reads on.
    /// - Parameter between: called now and then; throwing stops.
    /// - Returns: whether the prompt is read.
    func read(_ engine: SchedulingEngine, between: () throws -> Void) throws -> Bool {
        start = start ?? .now
        if isPacked {
            try score(engine, between)
            return true
        }
        let state = try self.state ?? restored(engine)
        self.state = state
        let prompt = first.prompt
        if position < prompt.count { try readSegment(engine, state, between) }
        guard position == prompt.count else {
            let channel = orders[0].channel
            if !channel.isFull { channel.send(.reading(tokens: position, of: prompt.count)) }
            return false
        }
        return true
    }

    /// The state after what a stored one has read of the prompt, which may be nothing.
    private func restored(_ engine: SchedulingEngine) throws -> DecoderState {
        guard first.promptAlternatives == nil, first.reusesStates, engine.options.reuse != .none else {
            return try engine.model.makeState()
        }
        engine.statistics.lookups += 1
        let isExactOnly = engine.options.reuse == .exact
        guard let found = engine.states.longest(of: first.prompt, scope: first.scope, exactOnly: isExactOnly) else {
            return try engine.model.makeState()
        }
        engine.statistics.hits += 1
        engine.statistics.cachedTokens += found.tokens.count
        (position, cached, isExact) = (found.tokens.count, found.tokens.count, found.isExact)
        let state = try found.state.copy()
        if position == first.prompt.count {
            try found.logits.withUnsafeBufferPointer { try continueAll(engine, state, $0) }
        }
        return state
    }

    private func readSegment(_ engine: SchedulingEngine, _ state: DecoderState, _ between: () throws -> Void) throws {
        let (prompt, segment, model) = (first.prompt, GenerationSession.segment, engine.model)
        let end = min((position / segment + 1) * segment, prompt.count)
        let tokens = Array(prompt[position..<end])
        // Who works aside is given a segment at once.
        let isAside = model.device.traits.worksAside
        if let top = first.promptAlternatives {
            let hidden = try withoutActuallyEscaping(between) { between in
                try model.hidden([tokens], state: state, progress: isAside ? nil : between)
            }
            let rows = try hidden.reshaped([tokens.count, model.configuration.decoder.hiddenSize])
            let start = position
            position = end
            engine.statistics.promptTokens += tokens.count
            try model.forEachLogits(rows) { row, logits in
                let next = start + row + 1
                if next < prompt.count {
                    likelihoods.append(try engine.likelihoods.likelihood(of: prompt[next], in: logits, top: top))
                } else {
                    try continueAll(engine, state, logits)
                }
                if row % 32 == 31 { try between() }
            }
            return
        }
        let logits = try withoutActuallyEscaping(between) { between in
            try model.nextLogits(tokens, state: state, progress: isAside ? nil : between)
        }
        position = end
        engine.statistics.promptTokens += tokens.count
        try logits.withElements(Float.self) { logits in
            // At the end, for what continues the prompt, and where its last segment begins, for prompts that end otherwise.
            let isEnd = end == prompt.count
            if first.reusesStates, isEnd || end == (prompt.count - 1) / segment * segment {
                let (read, copy) = (Array(prompt[..<end]), try state.copy())
                engine.states.insert(
                    .init(tokens: read, state: copy, logits: Array(logits), isExact: isExact), tokens: read,
                    scope: first.scope, isExact: isExact)
            }
            if isEnd { try continueAll(engine, state, logits) }
        }
    }

    /// Begins all continuations with the first token of each.
    private func continueAll(
        _ engine: SchedulingEngine, _ state: DecoderState, _ logits: UnsafeBufferPointer<Float>
    ) throws {
        try begin(engine, orders[0], likelihoods, logits) { isLast in isLast ? state : try state.copy() }
    }

    /// - Parameter state: of a continuation; told whether it is the last of them.
    private func begin(
        _ engine: SchedulingEngine, _ order: PromptOrder, _ likelihoods: [TokenLikelihood],
        _ logits: UnsafeBufferPointer<Float>, state: (Bool) throws -> DecoderState
    ) throws {
        let began = start ?? .now
        order.channel.send(
            .read(
                .init(
                    cached: cached, likelihoods: likelihoods,
                    seconds: (order.arrival.duration(to: began) / .seconds(1), began.duration(to: .now) / .seconds(1))))
        )
        let count = order.request.samplers.count
        let open = RunningSequence.OpenChoices(count)
        for choice in 0..<count {
            let sequence = RunningSequence(
                order, choice: choice, state: try state(choice == count - 1), tokenizer: engine.tokenizer, open: open)
            if order.request.limit == 0 {
                sequence.finish(.init(reason: .limit, stop: nil))
            } else {
                engine.start(sequence, from: logits)
            }
            if !sequence.isOver { engine.running.append(sequence) }
        }
    }

    // MARK: Scoring

    /// Scores all prompts as documents of one sequence.
    private func score(_ engine: SchedulingEngine, _ between: () throws -> Void) throws {
        let model = engine.model
        let prompts = orders.map(\.request.prompt)
        var starts: [Int] = []
        var tokens: [Int32] = []
        for prompt in prompts {
            starts.append(tokens.count)
            tokens += prompt
        }
        let hidden = try withoutActuallyEscaping(between) { between in
            try model.hidden([tokens], documents: Documents(starts), progress: between)
        }
        engine.statistics.promptTokens += tokens.count
        let rows = try hidden.reshaped([tokens.count, model.configuration.decoder.hiddenSize])
        // Nothing goes on from it: one token is picked at most.
        let unused = try model.makeState()
        var (document, scores) = (0, [TokenLikelihood]())
        try model.forEachLogits(rows) { row, logits in
            let (order, offset) = (orders[document], row - starts[document])
            if offset + 1 < prompts[document].count {
                let top = order.request.promptAlternatives ?? 0
                scores.append(
                    try engine.likelihoods.likelihood(of: prompts[document][offset + 1], in: logits, top: top))
            } else {
                try begin(engine, order, scores, logits) { _ in unused }
                (document, scores) = (document + 1, [])
            }
            if row % 32 == 31 { try between() }
        }
    }
}
