import Tensors
import Testing

/// Checks what a tape gives against central differences of a float64 sum over float32 results.
enum TapeGradients {
    /// A function of tensors that is to be differentiated.
    typealias Function = ([Tensor]) throws -> [Tensor]

    /// A target for each result, so that the loss Σ relative squared error pulls every element its own way.
    private static func targets(_ results: [Tensor]) throws -> [Tensor] {
        var random = Random(77)
        return try results.map { try random.tensor($0.shape, scale: 2) }
    }

    private static func loss(_ results: [Tensor], _ targets: [Tensor]) throws -> Double {
        try zip(results, targets).reduce(0) { sum, pair in
            let (found, target) = (try doubles(pair.0), try doubles(pair.1))
            return sum + GradientOracle.meanSquaredError(found, target: target).loss
        }
    }

    /// The gradients of the loss of `function` with respect to each of `inputs`, through a tape.
    static func onTape(_ inputs: [Tensor], _ function: Function) throws -> [Tensor?] {
        let tape = GradientTape()
        let watched = inputs.map { tape.watch($0) }
        let results = try function(watched)
        for (result, target) in zip(results, try targets(results)) { _ = try result.relativeSquaredError(to: target) }
        try tape.playBack()
        #expect(tape.count == 0)
        return watched.map(\.gradient)
    }

    /// Fails unless the tape's gradients of `function` are its differences.
    static func check(
        _ what: String, _ inputs: [Tensor], _ function: Function, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let targets = try targets(try function(inputs))
        let found = try onTape(inputs, function)
        for (index, gradient) in found.enumerated() {
            guard let gradient else {
                Issue.record("\(what): no gradient of input \(index)", sourceLocation: sourceLocation)
                continue
            }
            #expect(gradient.shape == inputs[index].shape, sourceLocation: sourceLocation)
            let expected = try differences(inputs[index]) { changed in
                var changedInputs = inputs
                changedInputs[index] = changed
                return try loss(try function(changedInputs), targets)
            }
            let values = try doubles(gradient)
            let scale = expected.map(abs).max() ?? 0
            // Rounding of the float32 results over the step; and a gradient of zeros would show nothing.
            #expect(scale > 1e-3, "\(what): the gradient of input \(index) vanishes", sourceLocation: sourceLocation)
            expectClose(
                values.map { $0 / scale }, expected.map { $0 / scale }, 1e-3, "\(what), input \(index)",
                sourceLocation: sourceLocation)
        }
    }

    /// Differences of fourth order: what is left of the step is about the rounding of float32.
    static func differences(_ point: Tensor, _ loss: (Tensor) throws -> Double) throws -> [Double] {
        let values = try point.array(Float.self)
        let step: Float = 0x1p-6
        return try values.indices.map { index in
            func at(_ steps: Float) throws -> Double {
                var moved = values
                moved[index] += steps * step
                return try loss(Tensor(moved, shape: point.shape))
            }
            let (near, far) = (try at(1) - at(-1), try at(2) - at(-2))
            return (8 * near - far) / (12 * Double(step))
        }
    }
}
