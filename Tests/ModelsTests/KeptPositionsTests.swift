import Checkpoints
import Models
import Support
import Tensors
import TestSupport
import Testing

/// Kept attention whose positions are not the source's, on both sides of what that was trained on.
@Suite("Positions of kept attention")
struct KeptPositionsTests {
    private static let shape = ModelShape(
        "tiny", hidden: 48, mlp: 64, heads: 6, keyValueHeads: 3, headDim: 16, vocabulary: 96)
    /// What the source was trained on.
    private static let trained = 24

    static let positions: [AttentionPositions] = [
        .init(divisor: 2), .init(divisor: 2.5, hasLogScale: true), .init(divisor: nil),
        .init(divisor: nil, hasLogScale: true), .init(hasLogScale: true),
    ]

    /// What is kept of a layer: all of it, or some heads; over all tokens, or a window longer than what was trained.
    enum Form: String, CaseIterable, Sendable {
        case layer, boundedLayer, heads, boundedHeads
        var isBounded: Bool { self == .boundedLayer || self == .boundedHeads }
        var heads: HeadSet { self == .layer || self == .boundedLayer ? HeadSet(0..<3) : HeadSet([0, 2]) }

        func options(_ positions: AttentionPositions, sinks: Int = 3) -> SoftmaxAttention.Options {
            .init(
                window: isBounded ? 30 : nil, sinks: sinks, heads: heads.count == 3 ? [:] : [0: heads],
                positions: positions
            )
        }
    }

    private func tokens(_ count: Int, seed: Int = 31) -> [Int32] {
        (0..<count).map { Int32(($0 * seed + $0 / 7) % 96) }
    }

    /// A model with float32 weights whose heads beside the kept ones have slots.
    /// - Parameter isPlain: whether those are plain softmax attention, as far as a window of 300 tokens and all of its
    ///   share make them.
    private func model(
        _ form: Form, _ positions: AttentionPositions, isPlain: Bool = false, sinks: Int = 3
    ) throws -> DecoderModel {
        let options = form.options(positions, sinks: sinks)
        var model = try Self.shape.model(.slots, window: isPlain ? 300 : 8, kept: options, positions: Self.trained)
        var configuration = model.configuration
        if form.heads.count == 3 {
            model = try Self.shape.model(positions: Self.trained)
            configuration = model.configuration
            configuration.mixerOptions[SoftmaxAttention.name] = options.json
        }
        let tensors = try DecoderModel.rules(configuration).map { rule in
            let value = try model.parameter(rule.name).converted(to: .float32)
            let isShare = isPlain && rule.name.hasSuffix("window_proj.bias")
            return (
                rule.name,
                isShare ? try Tensor([Float](repeating: 100, count: value.count), shape: value.shape) : value
            )
        }
        return try model.replacing(configuration, Dictionary(uniqueKeysWithValues: tensors))
    }

    @Test("as defined", arguments: Form.allCases, positions)
    func oracle(_ form: Form, _ positions: AttentionPositions) throws {
        let model = try model(form, positions, isPlain: true), text = tokens(200)
        let found = try model.logits([text]).array(Float.self)
        let expected = try NaiveKeptAttention(model: model, kept: form.heads, options: form.options(positions))
            .logits(text).map { Float($0) }
        #expect(relativeError(found, expected) < 1e-4)
        let other = try self.model(form, .source, isPlain: true).logits([text]).array(Float.self)
        #expect(relativeError(found, other) > 1e-2)
    }

    @Test("in pieces and by steps as at once", arguments: Form.allCases, positions)
    func pieces(_ form: Form, _ positions: AttentionPositions) throws {
        let model = try model(form, positions), text = tokens(200)
        let whole = try model.logits([text]).array(Float.self)
        for lengths in Pieces.lengths {
            #expect(relativeError(try Pieces.read(text, in: lengths, model), whole) < 1e-4, "\(lengths.prefix(4))")
        }
    }

    @Test("sequences of a step stand where they stand", arguments: positions)
    func batches(_ positions: AttentionPositions) throws {
        let model = try model(.boundedHeads, positions)
        let texts = [(31, 190), (17, 20), (53, 45)].map { tokens($0.1, seed: $0.0) }
        let states = try texts.map { text in
            let state = try model.makeState()
            _ = try model.nextLogits(Array(text.dropLast()), state: state)
            return state
        }
        let step = try DecoderStep(model, capacity: 3)
        try step.read(texts.map { $0[$0.count - 1] }, states: states)
        for (row, text) in texts.enumerated() {
            let expected = try model.logits([text]).array(Float.self).suffix(96)
            #expect(relativeError(step.withLogits(of: row) { Array($0) }, Array(expected)) < 1e-4)
        }
    }

    @Test("packed documents begin anew", arguments: Form.allCases, positions)
    func documents(_ form: Form, _ positions: AttentionPositions) throws {
        let model = try model(form, positions, sinks: 0)
        let (text, starts) = (tokens(120), [0, 1, 40, 42, 90])
        let packed = try model.logits([text], documents: Documents(starts)).array(Float.self)
        var separate: [Float] = []
        for (start, end) in zip(starts, starts.dropFirst() + [text.count]) {
            separate += try model.logits([Array(text[start..<end])]).array(Float.self)
        }
        #expect(relativeError(packed, separate) < 1e-4)
    }

    @Test("gradients are those of differences of the loss", arguments: positions)
    func gradients(_ positions: AttentionPositions) throws {
        for isPacked in [false, true] {
            let fixture = GradientFixture(name: "moult-hybrid")
            var (configuration, parameters) = try fixture.parameters()
            configuration.decoder.maximumPositions = 6
            configuration.mixerOptions[SoftmaxAttention.name] = SoftmaxAttention.Options(positions: positions).json
            #expect(configuration.mixers.contains(SoftmaxAttention.name))
            let row = Array(try fixture.fixture.expected().tokens.joined())
            let documents: Documents? = isPacked ? [0, 9, 11] : nil
            let found = try GradientFixture.Watched(configuration, parameters).gradients { model, _ in
                try meanCrossEntropy(model, [row], documents: documents)
            }
            var generator = SplitMix64(seed: 7)
            try expectSlope(of: parameters, found, &generator) { moved in
                try meanCrossEntropy(DecoderModel(configuration, parameters: moved), [row], documents: documents)
            }
        }
    }

    @Test("another model's context does not change them", arguments: positions)
    func alignment(_ positions: AttentionPositions) throws {
        let model = try model(.boundedHeads, positions), source = try Self.shape.model(positions: Self.trained)
        let ids = try Tensor(tokens(120), shape: [1, 120])
        var (inputs, expected): ([Tensor], [[Float]]) = ([], [])
        try model.visitMixers(ids) { _, input, output, _ in
            inputs.append(input)
            expected.append(try output.array(Float.self))
        }
        try source.visitMixers(ids) { layer, _, _, context in
            let found = try model.mix(inputs[layer], layer: layer, context: context).array(Float.self)
            #expect(relativeError(found, expected[layer]) < 1e-5)
        }
    }

    @Test("a state goes through a snapshot, and no state through other positions", arguments: positions)
    func snapshots(_ positions: AttentionPositions) throws {
        let model = try model(.boundedHeads, positions), text = tokens(60)
        let state = try model.makeState()
        _ = try model.logits([Array(text.prefix(41))], state: state)
        let restored = try model.makeState(from: state.snapshot())
        let rest = Array(text.dropFirst(41))
        let (found, expected) = (
            try model.logits([rest], state: restored).array(Float.self),
            try model.logits([rest], state: state).array(Float.self)
        )
        #expect(found == expected)
        #expect(try model.fingerprint() != self.model(.boundedHeads, .source).fingerprint())
    }

    @Test("config.json keeps them, and a head that is selected later has them", arguments: positions)
    func configuration(_ positions: AttentionPositions) throws {
        var decoder = try Self.shape.configuration(.slots, window: 8).decoder
        decoder.modelType = "moult"
        decoder.json["moult"] = .object([
            "version": 3, "layers": [.string(GatedSlotAttention.name)],
            SoftmaxAttention.name: SoftmaxAttention.Options(window: 30, sinks: 3, positions: positions).json,
            GatedSlotAttention.name: ["slots": 4, "window": 8],
        ])
        let kept = try ModelConfiguration(decoder).keeping(HeadSet([1]), layer: 0)
        let read = try ModelConfiguration(kept.decoder)
        #expect(read == kept)
        #expect(try read.attention == .init(window: 30, sinks: 3, heads: [0: HeadSet([1])], positions: positions))
        #expect(read.decoder.json["moult"]?["version"]?.doubleValue == 3)
    }

    @Test("without their keys they are the source's")
    func absent() throws {
        var configuration = try Self.shape.configuration(.slots, window: 8)
        configuration.mixerOptions[SoftmaxAttention.name] = ["sinks": 4, "window": 30]
        #expect(try configuration.attention.positions == .source)
        #expect(SoftmaxAttention.Options(window: 30, sinks: 4).json == ["sinks": 4, "window": 30])
        #expect(SoftmaxAttention.Options(window: 30, sinks: 4).version == 2)
    }

    @Test(
        "what config.json may not say of them",
        arguments: [
            #"{"positions": 0.5}"#, #"{"positions": 1025}"#, #"{"positions": "all"}"#, #"{"positions": true}"#,
            #"{"log_scale": 1}"#, #"{"log_scale": "yes"}"#,
        ])
    func refusals(_ text: String) throws {
        var configuration = try Self.shape.configuration(.slots, window: 8)
        configuration.mixerOptions[SoftmaxAttention.name] = try JSONValue(
            parsing: Array(text.utf8), file: "config.json")
        let error = #expect(throws: ModelError.self) { try DecoderModel.rules(configuration) }
        #expect("\(error.map { "\($0)" } ?? "")".contains("moult.attention."))
    }

    @Test("a source with a window of its own has its own")
    func slidingWindow() throws {
        var configuration = try Self.shape.configuration(.slots, window: 8)
        configuration.decoder.slidingWindow = 12
        configuration.mixerOptions[SoftmaxAttention.name] = ["sinks": 4, "positions": 4]
        let error = #expect(throws: ModelError.self) { try DecoderModel.rules(configuration) }
        #expect(
            error?.description
                == "config.json: 'moult.attention.positions' is positions divided by 4, expected nothing, nor log_scale, "
                + "beside the source's own window of 12 tokens")
    }

    @Test("a window beyond what was trained, with sinks, in pieces and by steps as at once", arguments: [20, 70])
    func farWindow(_ window: Int) throws {
        let model = try Self.shape.model(
            .slots, window: window, kept: .init(window: 50, sinks: 3, heads: [0: HeadSet([1])]), positions: 10)
        let text = tokens(300), whole = try model.logits([text]).array(Float.self)
        for lengths in [[Int](repeating: 1, count: 300), [100, 1, 1, 48, 130, 20]] {
            #expect(relativeError(try Pieces.read(text, in: lengths, model), whole) < 0.02, "\(lengths.prefix(4))")
        }
    }
}
