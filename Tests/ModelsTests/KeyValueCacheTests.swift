import Models
import Tensors
import TestSupport
import Testing

/// Memory of keys and values grows with what was read, by doubling, up to the window.
@Suite("Key/value caches")
struct KeyValueCacheTests {
    /// A token takes 2 · 2 heads · 16 · 4 bytes.
    private let shape = ModelShape(
        "tiny", hidden: 32, mlp: 64, heads: 4, keyValueHeads: 2, headDim: 16, vocabulary: 72)
    private let tokenBytes = 256

    private func tokens(_ count: Int) -> [Int32] { (0..<count).map { Int32($0 * 31 % 72) } }

    @Test("a window of 4096 tokens takes the memory of 64 for a prompt of 7, and its own at the end")
    func bytes() throws {
        let model = try shape.model(window: 4096)
        let state = try model.makeState()
        #expect(state.byteCount == 64 * tokenBytes)
        _ = try model.nextLogits(tokens(7), state: state)
        #expect(state.byteCount == 64 * tokenBytes)
        let step = try DecoderStep(model)
        for token in tokens(58) { try step.read([token], states: [state]) }
        #expect(state.position == 65 && state.byteCount == 128 * tokenBytes)
        _ = try model.nextLogits(tokens(935), state: state)
        #expect(state.position == 1000 && state.byteCount == 1000 * tokenBytes)
        for _ in 0..<9 { _ = try model.nextLogits(tokens(512), state: state) }
        for token in tokens(3) { try step.read([token], states: [state]) }
        #expect(state.byteCount == 4096 * tokenBytes)
    }

    @Test("a window shorter than the least room, and one that is no power of two", arguments: [5, 64, 100, 150])
    func windows(_ window: Int) throws {
        let model = try shape.model(window: window)
        let text = tokens(330)
        let whole = try model.logits([text]).array(Float.self)
        let (state, step) = (try model.makeState(), try DecoderStep(model))
        var found: [Float] = []
        func read(_ range: Range<Int>) throws {
            found += try model.logits([Array(text[range])], state: state).array(Float.self)
        }
        func decode(_ range: Range<Int>) throws {
            for index in range {
                try step.read([text[index]], states: [state])
                found += step.withLogits { Array($0) }
            }
        }
        try read(0..<7)
        try decode(7..<90)
        // What a fork reads does not reach the state.
        _ = try model.nextLogits(tokens(70), state: state.copy())
        try read(90..<95)
        try decode(95..<130)
        try read(130..<300)
        try decode(300..<330)
        #expect(relativeError(found, whole) < 0.02)
        #expect(state.byteCount == window * tokenBytes)
    }

    @Test(
        "held in fewer bits: memory, and what is read in pieces, by steps and at once",
        arguments: zip(CacheType.allCases, [1e-4, 0.01, 0.02]))
    func types(_ type: CacheType, _ limit: Float) throws {
        // Odd head dimensions, sinks that come nearer, a window and heads that see all.
        let shape = ModelShape("odd", hidden: 48, mlp: 64, heads: 6, keyValueHeads: 3, headDim: 20, vocabulary: 96)
        let options: [SoftmaxAttention.Options] = [
            .init(window: 30, sinks: 3, heads: [0: HeadSet([0, 2])]), .init(sinks: 3, heads: [0: HeadSet([1])]),
        ]
        for kept in options {
            let plain = try shape.model(.slots, window: 8, kept: kept, positions: 24)
            var model = try plain.replacing(
                plain.configuration,
                Dictionary(
                    uniqueKeysWithValues: DecoderModel.rules(plain.configuration).map {
                        ($0.name, try plain.parameter($0.name).converted(to: .float32))
                    }))
            model.cacheType = type
            let text = (0..<200).map { Int32($0 * 31 % 96) }
            let whole = try model.logits([text]).array(Float.self)
            for lengths in [[Int](repeating: 1, count: 200), [50, 1, 1, 1, 100, 1, 46]] {
                let (state, step) = (try model.makeState(), try DecoderStep(model))
                var (found, start) = ([Float](), 0)
                for length in lengths {
                    let part = Array(text[start..<start + length])
                    if length == 1 {
                        try step.read(part, states: [state])
                        found += step.withLogits { Array($0) }
                    } else {
                        found += try model.logits([part], state: state).array(Float.self)
                    }
                    start += length
                }
                let error = relativeError(found, whole)
                #expect(error < limit, "\(error)")
                if type != .float32 { #expect(error > 1e-5) }
                let restored = try model.makeState(from: state.snapshot())
                #expect(
                    try restored.snapshot().tensors.map { try $0.value.array() }
                        == state.snapshot().tensors.map { try $0.value.array() })
                let (next, again) = (try model.logits([[5]], state: restored), try model.logits([[5]], state: state))
                #expect(try next.array(Float.self) == again.array(Float.self))
                if kept.window != nil {
                    #expect(try model.configuration.stateCost(cache: type).constant == state.byteCount)
                }
            }
        }
    }

    @Test("a state that was held in other bits is taken over", arguments: CacheType.allCases)
    func otherTypes(_ type: CacheType) throws {
        var model = try shape.model(window: 40)
        let text = tokens(70)
        let state = try model.makeState()
        _ = try model.nextLogits(text, state: state)
        model.cacheType = type
        let other = try model.makeState(from: state.snapshot())
        let (found, expected) = (
            try model.logits([tokens(9)], state: other).array(Float.self),
            try model.logits([tokens(9)], state: state).array(Float.self)
        )
        #expect(relativeError(found, expected) < 0.02)
    }
}
