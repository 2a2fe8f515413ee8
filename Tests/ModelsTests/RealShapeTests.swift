import Models
import Tensors
import TestSupport
import Testing

/// Models of one layer that are as wide as published ones: what a prompt gives at once, token by token, and beside other
/// sequences must be the same.
@Suite("Models of real shapes", .serialized, .timeLimit(.minutes(5)))
struct RealShapeTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let shape: ModelShape
        var mixer = ModelShape.Mixer.attention
        var window: Int?
        /// What is kept of softmax attention beside slots.
        var kept: SoftmaxAttention.Options?
        /// Lengths of prompts.
        var lengths = Array(1...20)
        /// Sequences at once.
        var batches: [Int] = []

        var testDescription: String {
            "\(shape), D \(shape.hidden) F \(shape.mlp) H \(shape.heads), \(mixer), window \(window ?? 0)"
        }
    }

    private static let few = [1, 2, 4, 5, 6, 7, 8, 9, 16, 17, 20], short = [63, 64, 65, 66]

    /// Vocabularies are real where they are cheap, and otherwise small. Where a layer would be half a gigabyte or more, one
    /// model has its hidden size and heads, and another its MLP.
    static let cases: [Case] = {
        func small(_ shape: ModelShape) -> ModelShape { shape.with(vocabulary: 256) }
        let kept = SoftmaxAttention.Options(window: 24, sinks: 4, heads: [0: HeadSet([1])])
        func wide(_ shape: ModelShape) -> ModelShape { shape.with(mlp: 256, vocabulary: 256) }
        func deep(_ shape: ModelShape) -> ModelShape { shape.with(hidden: 128, heads: 2, vocabulary: 256) }
        return [
            Case(shape: .smolLM2Small, lengths: Array(1...20) + short, batches: Array(1...17)),
            Case(shape: .smolLM2Small, mixer: .slots, window: 64, lengths: Array(1...20) + short, batches: few),
            Case(shape: small(.smolLM2), lengths: few, batches: few),
            Case(shape: small(.smolLM2), mixer: .slots, window: 64, lengths: few),
            Case(shape: small(.tinyLlama), batches: Array(1...17)),
            Case(shape: small(.tinyLlama), mixer: .slots, window: 16, lengths: few + short, batches: few),
            Case(shape: small(.llama1B), lengths: few, batches: few),
            Case(shape: small(.llama1B), mixer: .slots, window: 64, lengths: few),
            Case(shape: small(.llama3B), lengths: few, batches: few),
            Case(shape: small(.llama3B), mixer: .slots, window: 64, lengths: [5, 8, 9]),
            Case(shape: small(.mistral), window: 4096, lengths: [1, 4, 5, 6, 7, 8, 9, 17], batches: [1, 5, 8, 9, 17]),
            Case(shape: small(.mistral), mixer: .slots, window: 64, lengths: [5, 8, 9]),
            Case(
                shape: small(.mistral), mixer: .slots, window: 8, kept: kept, lengths: [5, 8, 9, 33],
                batches: [1, 5, 9]),
            Case(shape: small(.llama3B), mixer: .slots, window: 8, kept: kept, lengths: [5, 8, 9, 33]),
            Case(shape: .smolLM2Small, mixer: .slots, window: 8, kept: kept, lengths: few + short, batches: few),
            Case(shape: wide(.qwen72B), mixer: .slots, window: 8, kept: kept, lengths: [5, 8, 9, 33]),
            Case(shape: wide(.mistralNemo), lengths: few, batches: few),
            Case(shape: .qwenSmall, lengths: [1, 5, 8, 9], batches: [1, 5, 8, 9]),
            Case(shape: small(.qwenSmall), mixer: .slots, window: 32, lengths: few + short, batches: few),
            Case(shape: wide(.qwen7B), lengths: few, batches: few),
            Case(shape: deep(.qwen7B), mixer: .slots, window: 64, lengths: few + short, batches: Array(1...17)),
            Case(shape: wide(.qwen72B), lengths: few, batches: [1, 5, 8, 9, 17]),
            Case(shape: wide(.qwen72B), mixer: .slots, window: 64, lengths: [5, 8, 9]),
            Case(shape: deep(.qwen72B), lengths: Array(1...20) + short, batches: Array(1...17)),
            Case(shape: small(.gemma1B), lengths: few, batches: few),
            Case(shape: small(.gemma1B), mixer: .slots, window: 64, lengths: few + short, batches: few),
            Case(shape: wide(.gemma7B), lengths: few, batches: few),
            Case(shape: deep(.gemma7B), mixer: .slots, window: 64, lengths: few, batches: Array(1...17)),
        ]
    }()

    /// Many rows are rounded to bfloat16 where the processor multiplies it, single tokens are not.
    private static let tolerance: Float = 0.03

    private func tokens(_ count: Int, of model: DecoderModel, from start: Int = 0) -> [Int32] {
        (start..<start + count).map { Int32(($0 * 7919 + 11) % model.configuration.decoder.vocabularySize) }
    }

    /// The logits after every one of `tokens`, read one by one.
    private func logits(_ step: DecoderStep, _ tokens: [Int32], state: DecoderState) throws -> [[Float]] {
        try tokens.map {
            try step.read([$0], states: [state])
            return step.withLogits { Array($0) }
        }
    }

    @Test(
        "prompts of every length are what they are token by token, and batches what their sequences are",
        arguments: cases)
    func agree(_ test: Case) throws {
        let model = try test.shape.model(test.mixer, window: test.window, kept: test.kept)
        let single = try DecoderStep(model)
        let prompt = tokens(test.lengths.max() ?? 0, of: model)
        let expected = try logits(single, prompt, state: model.makeState())
        for length in test.lengths {
            let found = try model.nextLogits(Array(prompt.prefix(length)), state: model.makeState()).array(Float.self)
            #expect(relativeError(found, expected[length - 1]) < Self.tolerance, "\(length) tokens")
        }
        guard let most = test.batches.max() else { return }
        let sequences = (0..<most).map { tokens(2, of: model, from: 100 + 3 * $0) }
        let alone = try sequences.map { try logits(single, $0, state: model.makeState()) }
        let step = try DecoderStep(model, capacity: most)
        for count in test.batches {
            let states = try (0..<count).map { _ in try model.makeState() }
            for place in 0..<2 {
                try step.read(sequences.prefix(count).map { $0[place] }, states: states)
                for row in 0..<count {
                    let found = step.withLogits(of: row) { Array($0) }
                    #expect(relativeError(found, alone[row][place]) < Self.tolerance, "row \(row) of \(count)")
                }
            }
        }
    }

    /// Prompts are read in segments of 512 tokens: what follows one, of 1 to 6 tokens, is a short prompt of its own.
    @Test(
        "prompts about a segment long",
        arguments: [
            Case(shape: .smolLM2Small.with(vocabulary: 256)),
            Case(shape: .smolLM2Small.with(vocabulary: 256), mixer: .slots, window: 64),
            Case(shape: .mistral.with(hidden: 128, heads: 4, vocabulary: 256), window: 4096),
            Case(shape: .mistral.with(hidden: 128, heads: 4, vocabulary: 256), mixer: .slots, window: 64),
            Case(shape: .qwen72B.with(hidden: 128, heads: 8, vocabulary: 256), window: 256),
            Case(shape: .gemma1B.with(hidden: 256, vocabulary: 256), mixer: .slots, window: 512),
        ])
    func segments(_ test: Case) throws {
        let model = try test.shape.model(test.mixer, window: test.window)
        let prompt = tokens(518, of: model)
        let expected = try logits(DecoderStep(model), prompt, state: model.makeState())
        let first = try model.makeState()
        let segment = try model.nextLogits(Array(prompt.prefix(512)), state: first).array(Float.self)
        #expect(relativeError(segment, expected[511]) < Self.tolerance, "512 tokens")
        for length in 511...518 where length != 512 {
            let whole = try model.nextLogits(Array(prompt.prefix(length)), state: model.makeState()).array(Float.self)
            #expect(relativeError(whole, expected[length - 1]) < Self.tolerance, "\(length) tokens at once")
            guard length > 512 else { continue }
            let rest = try model.nextLogits(Array(prompt[512..<length]), state: first.copy()).array(Float.self)
            #expect(relativeError(rest, expected[length - 1]) < Self.tolerance, "512 and \(length - 512) tokens")
        }
    }
}
