import Models
import TestSupport
import Testing

@Suite("What a state takes")
struct StateCostTests {
    @Test("windows fill token by token", arguments: ["moult-gsa-window", "moult-hybrid", "moult-gsa", "llama-tied"])
    func windows(_ name: String) throws {
        let model = try tinyModel(name)
        let cost = try model.configuration.stateCost()
        let most = cost.windows.keys.max() ?? 0
        #expect(most < 64, "a cache has room for all of its window")
        for count in [1, 5, 40, 64] {
            let state = try model.makeState()
            _ = try model.hidden([(0..<count).map { Int32($0 % 90) }], state: state)
            // Room is made ahead of what fills it.
            #expect(cost.bytes(after: count) <= state.byteCount)
            if count == 64 { #expect(cost.bytes(after: count) == state.byteCount) }
        }
        #expect(cost.bytes(after: 0) == cost.constant - cost.windows.reduce(0) { $0 + $1.key * $1.value })
        #expect(cost.bytes(after: most) == cost.constant + cost.perToken * most)
    }
}
