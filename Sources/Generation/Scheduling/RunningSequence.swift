import Models
import Tensors
import Tokenizers

/// A continuation of a prompt that was read.
final class RunningSequence {
    private let request: SequenceRequest
    let channel: EventChannel
    private let index: Int
    private let isLast: () -> Bool
    /// The slot that remembers where it ends.
    let slot: Int
    /// What the model remembers of the sequence; of no use where nothing is generated.
    let state: DecoderState
    private var sampler: Sampler
    private var text: GeneratedText
    private var recent: RecentTokens
    /// How often each token was generated.
    private var counts: [Int32: Int] = [:]
    /// What the text is to be. While it is active, tokens are picked here, among those that may follow.
    private var constraint: SequenceConstraint?
    private(set) var generated: [Int32] = []
    /// Generated tokens that were read.
    private(set) var read = 0
    /// The likelihood of the last token.
    private var untold: TokenLikelihood?
    private var hasEnded = false

    /// - Parameter open: continuations of the request that have not ended; the last one ends the events.
    init(
        _ order: PromptOrder, choice: Int, state: DecoderState, slot: Int, tokenizer: Tokenizer, open: OpenChoices
    ) {
        (request, channel, index, self.state) = (order.request, order.channel, choice, state)
        self.slot = slot
        sampler = request.samplers[choice]
        text = GeneratedText(tokenizer, strings: request.strings)
        recent = RecentTokens(request.prompt)
        constraint = request.constraint
        isLast = { open.end() }
    }

    /// Continuations of one request that go on.
    final class OpenChoices {
        private var count: Int
        init(_ count: Int) { self.count = count }

        /// - Returns: whether it was the last.
        func end() -> Bool {
            count -= 1
            return count == 0
        }
    }

    var owner: String { request.owner }
    var scope: String { request.scope }
    var stops: Set<Int32> { request.stops }
    var limit: Int { request.limit }
    var deadline: ContinuousClock.Instant? { request.deadline }
    var alternatives: Int? { request.alternatives }
    var prompt: [Int32]? { request.promptAlternatives == nil ? request.prompt : nil }
    var reusesStates: Bool { request.reusesStates }
    var isDurable: Bool { request.isDurable }
    /// Picked and emitted, but not read yet.
    var pending: Int32 { generated.last ?? 0 }
    var isOver: Bool { hasEnded || channel.isOver }
    /// Whether its reader is slower than the model.
    var isPaused: Bool { channel.isFull }
    /// Whether it has as many tokens as were asked for, or nothing may follow.
    var isWhole: Bool { isComplete || generated.count == limit }
    var isReady: Bool { !isOver && !isPaused && !isWhole }

    /// What a device picks the next token by; nil where logits are needed here.
    var choice: TokenChoice? { alternatives == nil && !isConstrained ? sampler.choice(after: lately) : nil }

    private var lately: ArraySlice<Int32> { recent.last(sampler.options.repetitionWindow) }

    /// Whether tokens are picked among some alone, which is done by their logits here.
    var isConstrained: Bool { constraint?.isActive ?? false }
    /// Whether nothing may follow.
    var isComplete: Bool { constraint?.isFinished ?? false }

    func sample(_ logits: UnsafeBufferPointer<Float>) throws -> Int32 {
        try sampler.sample(
            logits, after: lately, generated: counts, among: constraint?.mask(stops: stops))
    }

    /// The token that a device picked by ``choice``.
    func accept(_ picked: Int32?) throws -> Int32 { try sampler.accept(picked) }

    /// Goes on with `token`, which is told later.
    func append(_ token: Int32, _ likelihood: TokenLikelihood?) throws {
        try constraint?.advance(token)
        generated.append(token)
        recent.append(CollectionOfOne(token))
        if sampler.options.penalisesGenerated { counts[token, default: 0] += 1 }
        untold = likelihood
    }

    /// Gives out the last token.
    /// - Returns: whether a stop string ends the text with it.
    func tell() throws -> Bool {
        let piece = try text.push(pending)
        channel.send(.token(choice: index, untold, text: piece, id: pending))
        return text.isStopped
    }

    /// The last generated token was read.
    func hasRead() { read = generated.count }

    /// Ends the sequence.
    /// - Parameter tell: calls what it is given, which tells the reader, now or once something else is done.
    func finish(_ ending: SequenceEvent.Ending, tell: (@escaping @Sendable () -> Void) -> Void) {
        guard !hasEnded else { return }
        hasEnded = true
        var ending = ending
        let rest = text.finish()
        if text.isStopped { ending.reason = .stopString }
        let event = SequenceEvent.finished(choice: index, ending, text: rest)
        let isLast = isLast()
        tell { [channel] in
            channel.send(event)
            if isLast { channel.finish() }
        }
    }

    func fail(_ error: any Error) {
        hasEnded = true
        channel.finish(error)
    }
}
