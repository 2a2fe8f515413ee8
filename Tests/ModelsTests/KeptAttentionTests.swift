import Checkpoints
import Models
import Support
import Tensors
import TestSupport
import Testing

/// Sinks, and key/value heads that keep softmax attention beside slots.
@Suite("Kept attention")
struct KeptAttentionTests {
    private let shape = ModelShape(
        "tiny", hidden: 48, mlp: 64, heads: 6, keyValueHeads: 3, headDim: 16, vocabulary: 96)

    private func tokens(_ count: Int, seed: Int = 31) -> [Int32] {
        (0..<count).map { Int32(($0 * seed + $0 / 7) % 96) }
    }

    static let options: [SoftmaxAttention.Options] = [
        .init(sinks: 3), .init(window: 20, sinks: 3, heads: [0: HeadSet([1])]),
        .init(sinks: 4, heads: [0: HeadSet([0, 2])]),
        .init(window: 5, sinks: 0, heads: [0: HeadSet([2])]),
    ]

    @Test("in pieces and by steps as at once", arguments: options, [8, nil])
    func pieces(_ kept: SoftmaxAttention.Options, _ window: Int?) throws {
        let model = try shape.model(.slots, window: window, kept: kept), text = tokens(200)
        let whole = try model.logits([text]).array(Float.self)
        for lengths in Pieces.lengths {
            #expect(relativeError(try Pieces.read(text, in: lengths, model), whole) < 0.02, "\(lengths.prefix(4))")
        }
    }

    @Test("sequences of a batch do not see each other", arguments: options)
    func batches(_ kept: SoftmaxAttention.Options) throws {
        let model = try shape.model(.slots, window: 8, kept: kept)
        let texts = [31, 17, 53].map { tokens(40, seed: $0) }
        let (step, states) = (try DecoderStep(model, capacity: 3), try texts.map { _ in try model.makeState() })
        var last = [[Float]](repeating: [], count: 3)
        for index in 0..<40 {
            try step.read(texts.map { $0[index] }, states: states)
            last = (0..<3).map { step.withLogits(of: $0) { Array($0) } }
        }
        for (text, found) in zip(texts, last) {
            let expected = try model.logits([text]).array(Float.self).suffix(found.count)
            #expect(relativeError(found, Array(expected)) < 0.02)
        }
    }

    @Test("packed documents have sinks of their own", arguments: options)
    func documents(_ kept: SoftmaxAttention.Options) throws {
        let model = try shape.model(.slots, window: 8, kept: kept)
        let (text, starts) = (tokens(120), [0, 1, 40, 42, 90])
        let packed = try model.logits([text], documents: Documents(starts)).array(Float.self)
        var separate: [Float] = []
        for (start, end) in zip(starts, starts.dropFirst() + [text.count]) {
            separate += try model.logits([Array(text[start..<end])]).array(Float.self)
        }
        #expect(relativeError(packed, separate) < 0.02)
    }

    @Test("a window that covers the text, alone, is the source's attention", arguments: options)
    func isTheSource(_ kept: SoftmaxAttention.Options) throws {
        var kept = kept
        kept.window = nil
        let source = try shape.model(), student = try shape.model(.slots, window: 200, kept: kept)
        let prefix = student.configuration.names.mixer(0)
        // The window's share is driven to 1.
        let bias = try student.parameter("\(prefix).window_proj.bias").count
        let all = try student.replacing(
            student.configuration,
            ["\(prefix).window_proj.bias": try Tensor([Float](repeating: 100, count: bias), shape: [bias])])
        let found = try all.logits([tokens(90)]).array(Float.self)
        #expect(relativeError(found, try source.logits([tokens(90)]).array(Float.self)) < 0.02)
    }

    @Test("beyond what the source was trained on, in pieces and by steps as at once", arguments: options.prefix(2))
    func farSinks(_ kept: SoftmaxAttention.Options) throws {
        let model = try shape.model(.slots, window: 8, kept: kept, positions: 50), text = tokens(200)
        let whole = try model.logits([text]).array(Float.self)
        for lengths in Pieces.lengths {
            #expect(relativeError(try Pieces.read(text, in: lengths, model), whole) < 0.02, "\(lengths.prefix(4))")
        }
        let near = try shape.model(.slots, window: 8, kept: kept, positions: 5000).logits([text]).array(Float.self)
        let boundary = 50 * 96
        #expect(near.prefix(boundary).elementsEqual(whole.prefix(boundary)))
        #expect(!near.suffix(96).elementsEqual(whole.suffix(96)))
    }

    @Test("a million tokens are read with the memory of the first thousands")
    func stream() throws {
        let small = ModelShape("one", hidden: 16, mlp: 16, heads: 2, keyValueHeads: 2, headDim: 8, vocabulary: 96)
        let model = try small.model(
            .slots, window: 16, slots: 4, kept: .init(window: 64, sinks: 4, heads: [0: HeadSet([1])]), positions: 2048)
        let (state, text) = (try model.makeState(), tokens(8192))
        _ = try model.nextLogits(text, state: state)
        let bytes = state.byteCount
        while state.position < 1_000_000 { _ = try model.hidden([text], state: state) }
        let step = try DecoderStep(model)
        for token in text.prefix(20) { try step.read([token], states: [state]) }
        #expect(step.withLogits { $0.allSatisfy(\.isFinite) })
        #expect(state.byteCount == bytes && state.position > 1_000_000)
        #expect(try model.configuration.stateCost().constant == bytes && model.configuration.stateCost().perToken == 0)
    }

    @Test("a state goes through a snapshot", arguments: options)
    func snapshots(_ kept: SoftmaxAttention.Options) throws {
        let model = try shape.model(.slots, window: 8, kept: kept), text = tokens(60)
        let state = try model.makeState()
        _ = try model.logits([Array(text.prefix(41))], state: state)
        let restored = try model.makeState(from: state.snapshot())
        let rest = Array(text.dropFirst(41))
        let (found, expected) = (
            try model.logits([rest], state: restored).array(Float.self),
            try model.logits([rest], state: state).array(Float.self)
        )
        #expect(found == expected)
    }

    @Test(
        "what config.json may not say of it",
        arguments: [
            #"{"sinks": 65}"#, #"{"sinks": -1}"#, #"{"sinks": 1.5}"#, #"{"window": 0}"#, #"{"window": "all"}"#, "[]",
            #"{"heads": [1]}"#, #"{"heads": {"1": [0]}}"#, #"{"heads": {"0": [3]}}"#, #"{"heads": {"0": [0, 1, 2]}}"#,
            #"{"heads": {"0": []}}"#, #"{"heads": {"0": [1, 1]}}"#, #"{"heads": {"x": [1]}}"#,
            #"{"heads": {"0": [0.5]}}"#,
        ])
    func refusals(_ text: String) throws {
        var configuration = try shape.configuration(.slots, window: 8)
        configuration.mixerOptions[SoftmaxAttention.name] = try JSONValue(
            parsing: Array(text.utf8), file: "config.json")
        let error = #expect(throws: ModelError.self) { try DecoderModel.rules(configuration) }
        #expect("\(error.map { "\($0)" } ?? "")".contains("moult.attention"))
    }
}
