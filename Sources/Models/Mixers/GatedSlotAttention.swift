import Checkpoints
import Foundation
import Support
import Tensors

/// Gated Slot Attention (Zhang et al. 2024, arXiv 2409.07146): M slots of keys and values per key/value head, each
/// forgetting at its own data-dependent rate, read by a softmax over slots. Constant memory, whatever the length.
///
/// Two profiles: ``MixerProfile/softmaxPreserving`` keeps the source's attention as it is (rotary positions, scale, values);
/// ``MixerProfile/fla`` is flash-linear-attention's layer, so that its tools load the result.
public struct GatedSlotAttention: LongMemory {
    public static let name = "gsa"
    public static let title = "Gated Slot Attention (arXiv 2409.07146)"

    /// The log gate is logsigmoid(f) / 8, so that a gate of 0 forgets slowly (paper, section 3).
    static let gateDivisor: Float = 8

    private let slots: Int
    private let profile: MixerProfile
    private let scale: Float
    /// x → log-gate inputs (n · M).
    private let gate: Linear
    /// Weight over H · V of the norm before the output; only in the fla profile.
    private let outputNorm: Tensor?
    /// flash-linear-attention's output norm has this whatever the model's own is.
    private static let outputNormEpsilon: Float = 1e-5

    // MARK: Parameters

    public static func rules(_ layer: MemoryLayer, _ options: Options) -> [ParameterRule] {
        let (prefix, gates) = (layer.prefix, layer.keyValueHeads * options.slots)
        switch layer.profile {
        case .fla:
            return [
                .new("\(prefix).f_proj.weight", shape: [gates, layer.hiddenSize], .normal(standardDeviation: 0.02)),
                .new("\(prefix).g_norm.weight", shape: [layer.hiddenSize], .constant(1)),
            ]
        case .softmaxPreserving:
            return [
                .new(
                    "\(prefix).gate_proj.weight", shape: [gates, layer.hiddenSize],
                    .map(outputs: 0.08, norm: layer.norm)),
                .new(
                    "\(prefix).gate_proj.bias", shape: [gates],
                    .halfLives(slots: options.slots, shortest: 2, longest: 4096, divisor: Double(gateDivisor))),
            ]
        }
    }

    public init(_ layer: MemoryLayer, _ options: Options, parameters: Parameters) throws {
        (slots, profile) = (options.slots, layer.profile)
        switch profile {
        case .fla:
            scale = 1
            gate = try parameters.linear("\(layer.prefix).f_proj")
            outputNorm = try parameters["\(layer.prefix).g_norm.weight"]
        case .softmaxPreserving:
            scale = layer.scale
            gate = try parameters.linear("\(layer.prefix).gate_proj", hasBias: true)
            outputNorm = nil
        }
    }

    public var inputMaps: [Linear] { [gate] }

    public var isRotated: Bool { profile == .softmaxPreserving }

    // MARK: Forward

    private static let (keys, values) = ("slots.keys", "slots.values")

    public static func state(_ layer: MemoryLayer, _ options: Options) -> [StateTensor] {
        [keys, values].map {
            StateTensor($0, layer.keyValueHeads, options.slots, layer.headDim, isUpdatedInPlace: true)
        }
    }

    public static func activationFloats(_ layer: MemoryLayer, _ options: Options) -> Int {
        // flash-linear-attention's layer has activations of q, k and v, and a norm of what is read.
        layer.profile == .fla ? 2 * (layer.heads + layer.keyValueHeads) * layer.headDim : 0
    }

    public func callAsFunction(_ input: MemoryInput, state: inout MemoryTensors) throws -> Tensor {
        let gates = input.maps[0]
        guard let outputNorm else {
            return try mix(q: input.q, k: input.k, v: input.v, gates, input.documents, &state)
        }
        let mixed = try mix(
            q: input.q.activated(.silu), k: input.k.activated(.silu), v: input.v.activated(.silu), gates,
            input.documents, &state)
        let flat = try mixed.activated(.silu).reshaped(mixed.shape.prefix(2) + [outputNorm.count])
        return try flat.rmsNorm(weight: outputNorm, epsilon: Self.outputNormEpsilon).reshaped(mixed.shape)
    }

    private func mix(
        q: Tensor, k: Tensor, v: Tensor, _ gates: Tensor, _ documents: Documents?, _ state: inout MemoryTensors
    ) throws -> Tensor {
        guard let keys = state.take(Self.keys), let values = state.take(Self.values) else {
            return try Tensor.gatedSlotAttention(
                q: q, k: k, v: v, gates: gates, divisor: Self.gateDivisor, scale: scale, documents: documents)
        }
        var slots = GatedSlotState(keys: consume keys, values: consume values)
        defer { (state[Self.keys], state[Self.values]) = (slots.keys, slots.values) }
        return try Tensor.gatedSlotAttention(
            q: q, k: k, v: v, gates: gates, divisor: Self.gateDivisor, scale: scale, state: &slots, documents: documents
        )
    }

    public func slotUse(_ input: MemoryInput, _ state: MemoryTensors) throws -> SlotUse? {
        guard let keys = state[Self.keys] else { return nil }
        let kept = try input.maps[0].floats().map { exp(-log1p(exp(-$0)) / Self.gateDivisor) }
        let q = profile == .fla ? try input.q.activated(.silu) : input.q
        return SlotUse(
            slots: slots, kept: kept, queries: try q.floats(), keys: try keys.floats(), scale: scale)
    }
}
