import Models
import Support
import Tensors
import Testing

/// Compares `gradients` by name with differences of the loss along a random direction of all `parameters`.
func expectSlope(
    of parameters: [String: Tensor], _ gradients: [String: [Float]], _ generator: inout SplitMix64,
    loss: (Parameters) throws -> Double
) throws {
    let direction = parameters.sorted { $0.key < $1.key }.map { name, tensor in
        (name, (0..<tensor.count).map { _ in Float.random(in: -1...1, using: &generator) })
    }
    let slope = direction.reduce(0.0) { sum, part in
        zip(part.1, gradients[part.0] ?? []).reduce(sum) { $0 + Double($1.0) * Double($1.1) }
    }
    func moved(_ step: Float) throws -> Double {
        let tensors = try direction.map { name, values in
            let tensor = try #require(parameters[name])
            let sum = zip(try tensor.array(Float.self), values).map { $0 + step * $1 }
            return (name, try Tensor(sum, shape: tensor.shape))
        }
        return try loss(Parameters(Dictionary(uniqueKeysWithValues: tensors)))
    }
    let step: Float = 1e-3
    let (near, far) = (try moved(step) - moved(-step), try moved(2 * step) - moved(-2 * step))
    let difference = (8 * near - far) / (12 * Double(step))
    // The loss is near 5, a float32 sum: its rounding over the step, beside what the step leaves.
    #expect(abs(slope - difference) < 2e-3 + 2e-3 * abs(slope), "\(slope) and \(difference)")
}
