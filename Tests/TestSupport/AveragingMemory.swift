import Models
import Support
import Tensors

/// A mixer of a program's own: every head remembers exponential moving averages of its values, which forget as the layer's
/// input says, and reads those whose keys are the query's, normed. It knows no positions, and its state, in which the last token's values stand too, is made anew at every call.
package struct AveragingMemory: LongMemory {
    package static let name = "averaging"
    package static let title = "exponential moving averages"

    /// Averages of a head.
    private static let count = 4

    package struct Options: MemoryOptions {
        /// Tokens after which half of a value is forgotten, at an input of zero, by the fastest average.
        package var halfLife: Int

        package static let names = ["half_life"]
        package init(window: Int) { halfLife = window > 0 ? 32 : 16 }
        package init(_ file: MixerOptionsReader) throws {
            halfLife = try file.integer("half_life", in: 1...1000) ?? 16
        }
        package var json: JSONObject { ["half_life": .integer(halfLife)] }
        package var summary: String? { "half-life \(halfLife)" }
    }

    private let gate: Linear
    /// (V), of all heads.
    private let norm: Tensor

    package static func rules(_ layer: MemoryLayer, _ options: Options) -> [ParameterRule] {
        let life = Double(options.halfLife)
        return [
            .new(
                "\(layer.prefix).forget_proj.weight", shape: [layer.keyValueHeads * count, layer.hiddenSize],
                .map(outputs: 0.5, norm: layer.norm)),
            .new(
                "\(layer.prefix).forget_proj.bias", shape: [layer.keyValueHeads * count],
                .halfLives(slots: count, shortest: life, longest: 8 * life, divisor: 1)),
            .new("\(layer.prefix).average_norm.weight", shape: [layer.headDim], .constant(1)),
        ]
    }

    package static func state(_ layer: MemoryLayer, _ options: Options) -> [StateTensor] {
        ["average.keys", "average.values"].map { StateTensor($0, layer.keyValueHeads, count, layer.headDim) } + [
            StateTensor("average.last", layer.keyValueHeads, layer.headDim, as: .activation)
        ]
    }

    package init(_ layer: MemoryLayer, _ options: Options, parameters: Parameters) throws {
        gate = try parameters.linear("\(layer.prefix).forget_proj", hasBias: true)
        norm = try parameters["\(layer.prefix).average_norm.weight"]
    }

    package var inputMaps: [Linear] { [gate] }

    package var isRotated: Bool { false }

    package func callAsFunction(_ input: MemoryInput, state: inout MemoryTensors) throws -> Tensor {
        let forget = try input.maps[0].logGate(divisor: 1).reshaped(input.k.shape.prefix(3) + [Self.count])
        let average: Tensor
        if let keys = state["average.keys"], let values = state["average.values"] {
            var slot = GatedSlotState(keys: keys, values: values)
            average = try Tensor.gatedSlotAttention(
                q: input.q, k: input.k, v: input.v, logGates: forget, scale: 1, state: &slot,
                documents: input.documents)
            (state["average.keys"], state["average.values"]) = (slot.keys, slot.values)
            let shape = input.v.shape
            state["average.last"] = try input.v.stretch(from: shape[1] - 1, count: 1)
                .reshaped([shape[0], shape[2], shape[3]])
        } else {
            average = try Tensor.gatedSlotAttention(
                q: input.q, k: input.k, v: input.v, logGates: forget, scale: 1, documents: input.documents)
        }
        return try average.rmsNorm(weight: norm, epsilon: 1e-5)
    }
}
