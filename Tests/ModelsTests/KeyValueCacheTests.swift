import Models
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
}
