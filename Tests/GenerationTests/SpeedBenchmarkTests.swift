import Generation
import Models
import Tensors
import TestSupport
import Testing

@Suite("Benchmarks")
struct SpeedBenchmarkTests {
    private func decode(_ rates: [Double], batch: Int = 1) -> SpeedBenchmark.Result {
        SpeedBenchmark.Result(kind: .decode(depth: 16, batch: batch), rates: rates, stateBytes: 0)
    }

    /// Decoding that reads weights faster than the loop has shown what the memory gives.
    @Test("no share of the memory's bandwidth is above all of it")
    func share() {
        let prefill = SpeedBenchmark.Result(kind: .prefill(tokens: 512), rates: [1000], stateBytes: 0)
        let results = [prefill, decode([8, 10, 12]), decode([30, 36, 33], batch: 4)]
        #expect(SpeedBenchmark.bandwidth(measured: 11_000, results, weightBytes: 1000) == 12_000)
        #expect(SpeedBenchmark.bandwidth(measured: 13_000, results, weightBytes: 1000) == 13_000)
        #expect(results[1].weightRate(results[1].median, weightBytes: 1000) == 10_000)
        #expect(results[2].weightRate(36, weightBytes: 1000) == 9000)
        #expect(prefill.weightRate(1000, weightBytes: 1000) == nil)
    }

    @Test("bandwidth is measured on a model's own weights")
    func weights() throws {
        let model = try ModelShape.smolLM2Small.with(vocabulary: 256).model()
        let step = try DecoderStep(model)
        // Query, key, value and output, three of the MLP, and the head.
        #expect(step.weights.count == 8)
        #expect(step.weightBytes == 2 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536 + 256 * 576))
        #expect(try MemoryBandwidth.measure(step.weights, passes: 1) > 0)
        #expect(try MemoryBandwidth.measure([Tensor.zeros([16])], passes: 1) == 0)
    }
}
