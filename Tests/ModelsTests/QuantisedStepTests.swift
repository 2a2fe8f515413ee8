import CKernels
import Checkpoints
import Models
import Tensors
import TestSupport
import Testing

/// Switches threads, and so runs in another process than most (scripts/run-tests), beside no suite that switches too.
@Suite("Steps of quantised models", .switchesProcess)
struct QuantisedStepTests {
    /// A fixture made wide enough for groups of 32 inputs, with random weights; `type` is that of its matrices.
    private func model(_ name: String, _ type: DType, scale: Int = 1) throws -> DecoderModel {
        var configuration = try ModelConfiguration(ModelFiles.open(Fixture(name: name).path).configuration)
        configuration.decoder.hiddenSize = 64 * scale
        configuration.decoder.intermediateSize = 96 * scale
        (configuration.decoder.headCount, configuration.decoder.keyValueHeadCount) = (4, 2)
        configuration.decoder.headDim = 16 * scale
        var tensors: [String: Tensor] = [:]
        for rule in try DecoderModel.rules(configuration) {
            let isMatrix = rule.shape.count == 2
            let deviation = isMatrix ? 1 / Double(rule.shape[1]).squareRoot() : 0.2
            let weight = try Initialiser.normal(standardDeviation: deviation)
                .make(name: rule.name, shape: rule.shape, seed: 7)
            tensors[rule.name] = isMatrix && type.isQuantised ? try weight.quantised(to: type).tensor : weight
        }
        return try DecoderModel(configuration, parameters: Parameters(tensors))
    }

    private let sequence = (0..<40).map { Int32($0 * 29 % 50) }

    @Test(
        "single tokens and batches equal whole sequences",
        arguments: ["llama-biases-llama3-rope", "fla-gsa-hybrid", "moult-gsa-window", "moult-hybrid"], [DType.q8, .q4])
    func equalsForward(_ name: String, _ type: DType) throws {
        let model = try model(name, type)
        let whole = try model.logits([sequence]).array()
        let vocabulary = whole.count / sequence.count
        let (single, batch) = (try DecoderStep(model), try DecoderStep(model, capacity: 3))
        let states = try (0..<4).map { _ in try model.makeState() }
        for (position, token) in sequence.enumerated() {
            try single.read([token], states: [states[3]])
            try batch.read([token, token, token], states: Array(states.prefix(3)))
            let expected = Array(whole[position * vocabulary..<(position + 1) * vocabulary])
            // A last bit of an activation may round to another code.
            #expect(relativeError(single.withLogits { Array($0) }, expected) < 2e-2)
            #expect(relativeError(batch.withLogits(of: 2) { Array($0) }, expected) < 2e-2)
        }
    }

    @Test(
        "the bits do not depend on the number of threads, nor, quantised, on the batch",
        arguments: [DType.q4, .q8, .float32])
    func threads(_ type: DType) throws {
        // Wide enough for every product to be cut into several tasks.
        let model = try model("moult-hybrid", type, scale: 12)
        func run(threads: Int32, batch: Int) throws -> [Float] {
            moult_set_threads(threads)
            defer { moult_set_threads(0) }
            let step = try DecoderStep(model, capacity: batch)
            let states = try (0..<batch).map { _ in try model.makeState() }
            var logits: [Float] = []
            for token in sequence.prefix(6) {
                try step.read([Int32](repeating: token, count: batch), states: states)
                logits += step.withLogits(of: batch - 1) { Array($0) }
            }
            return logits
        }
        let alone = try run(threads: 1, batch: 1)
        let isFinite = alone.allSatisfy { $0.isFinite }
        #expect(isFinite)
        for threads: Int32 in [2, 5] {
            let others = try run(threads: threads, batch: 1)
            #expect(others == alone, "\(threads) threads")
        }
        let together = try run(threads: 1, batch: 7)
        let shared = try run(threads: 3, batch: 7)
        #expect(shared == together)
        if type.isQuantised { #expect(together == alone) }
    }

    @Test("eight bits stay close to the model, four are coarser", arguments: ["moult-gsa-window", "llama-tied"])
    func closeToFloats(_ name: String) throws {
        let expected = try model(name, .float32).logits([sequence]).array()
        var errors: [Float] = []
        for type in [DType.q8, .q4] {
            let model = try model(name, type)
            let (step, state) = (try DecoderStep(model), try model.makeState())
            var logits: [Float] = []
            for token in sequence {
                try step.read([token], states: [state])
                logits += step.withLogits { Array($0) }
            }
            errors.append(relativeError(logits, expected))
        }
        #expect(errors[0] < 0.05)
        #expect(errors[1] < 0.5)
        #expect(errors[0] < errors[1])
    }
}
