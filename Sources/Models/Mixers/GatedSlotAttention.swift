import Checkpoints
import Tensors

/// Gated Slot Attention (Zhang et al. 2024, arXiv 2409.07146): M slots of keys and values per key/value head, each
/// forgetting at its own data-dependent rate, read by a softmax over slots. Constant memory, whatever the length.
///
/// Two profiles: ``Profile/softmaxPreserving`` keeps the source's attention as it is (rotary positions, scale, values)
/// and adds slots and, optionally, a window of the source's own softmax attention mixed in by a learned weight;
/// ``Profile/fla`` is flash-linear-attention's layer, so that its tools load the result.
public struct GatedSlotAttention: TokenMixer {
    public static let name = "gsa"

    /// The log gate is logsigmoid(f) / 8, so that a gate of 0 forgets slowly (paper, section 3).
    static let gateDivisor: Float = 8

    let options: Options
    let projections: AttentionProjections
    /// x → log-gate inputs (N · M).
    let gate: Linear
    /// x → one logit per head for the window's share; nil without a window.
    let windowShare: Linear?
    /// Weight over H · V of the norm before the output; only in the fla profile.
    let outputNorm: Tensor?
    /// flash-linear-attention's output norm has this whatever the model's own is.
    static let outputNormEpsilon: Float = 1e-5

    // MARK: Parameters

    public static func rules(_ configuration: ModelConfiguration, layer: Int) throws -> [ParameterRule] {
        let decoder = configuration.decoder
        let options = try Options(configuration)
        let prefix = configuration.names.mixer(layer)
        let gates = decoder.keyValueHeadCount * options.slots
        var rules = AttentionProjections.rules(configuration, layer: layer)
        switch options.profile {
        case .fla:
            rules.append(
                .new("\(prefix).f_proj.weight", shape: [gates, decoder.hiddenSize], .normal(standardDeviation: 0.02)))
            rules.append(.new("\(prefix).g_norm.weight", shape: [decoder.hiddenSize], .constant(1)))
        case .softmaxPreserving:
            rules.append(
                .new(
                    "\(prefix).gate_proj.weight", shape: [gates, decoder.hiddenSize], .normal(standardDeviation: 0.01)))
            rules.append(
                .new(
                    "\(prefix).gate_proj.bias", shape: [gates],
                    .halfLives(slots: options.slots, shortest: 2, longest: 4096, divisor: Double(gateDivisor))))
            if options.window > 0 {
                let heads = decoder.headCount
                rules.append(.new("\(prefix).window_proj.weight", shape: [heads, decoder.hiddenSize], .constant(0)))
                rules.append(.new("\(prefix).window_proj.bias", shape: [heads], .constant(1)))
            }
        }
        return rules
    }

    public init(_ configuration: ModelConfiguration, layer: Int, parameters: Parameters) throws {
        options = try Options(configuration)
        let prefix = configuration.names.mixer(layer)
        projections = try AttentionProjections(configuration, layer: layer, parameters: parameters)
        switch options.profile {
        case .fla:
            gate = try parameters.linear("\(prefix).f_proj")
            outputNorm = try parameters["\(prefix).g_norm.weight"]
            windowShare = nil
        case .softmaxPreserving:
            gate = try parameters.linear("\(prefix).gate_proj", hasBias: true)
            outputNorm = nil
            windowShare = options.window > 0 ? try parameters.linear("\(prefix).window_proj", hasBias: true) : nil
        }
    }

    /// The maps of the mixer's input beside q, k and v.
    private var gateMaps: [Linear] { [gate] + (windowShare.map { [$0] } ?? []) }

    private var scale: Float { options.profile == .fla ? 1 : projections.scale }

    // MARK: Forward

    public func callAsFunction(_ x: Tensor, state: MixerState?, context: MixerContext) throws -> Tensor {
        let state = try state?.required(as: State.self)
        var (q, k, v, extra) = try projections.qkv(x, extra: gateMaps)
        let logGates = try extra[0].logGate(divisor: Self.gateDivisor)
            .reshaped(Array(x.shape.prefix(2)) + [projections.keyValueHeads, options.slots])
        switch options.profile {
        case .fla:
            (q, k, v) = (try q.silu(), try k.silu(), try v.silu())
        case .softmaxPreserving:
            (q, k) = (try context.rotary(q), try context.rotary(k))
        }
        let slots: Tensor
        if let state {
            slots = try Tensor.gatedSlotAttention(
                q: q, k: k, v: v, logGates: logGates, scale: scale, state: &state.slots, documents: context.documents)
        } else {
            slots = try Tensor.gatedSlotAttention(
                q: q, k: k, v: v, logGates: logGates, scale: scale, documents: context.documents)
        }
        if let outputNorm {
            let flat = try slots.silu().reshaped(x.shape.prefix(2) + [projections.heads * projections.headDim])
            return try projections.outputMap(flat.rmsNorm(weight: outputNorm, epsilon: Self.outputNormEpsilon))
        }
        guard windowShare != nil else { return try projections.output(slots) }
        let window = try projections.attend(
            q: q, k: k, v: v, window: options.window, cache: state?.window, context: context)
        return try projections.output(Tensor.mix(window, slots, logits: extra[1]))
    }

    // MARK: The step

    public var inputWeights: [Tensor] { (projections.inputMaps + gateMaps).map(\.weight) }

    public func record(
        _ step: RecordedStep, input: RecordedStep.Rows, residual: RecordedStep.Rows, angles: RecordedStep.Angles
    ) throws -> StateBinding {
        let (projections, output) = (projections, projections.outputMap)
        let inputs = try step.linear(input, maps: projections.inputMaps + gateMaps)
        let isFLA = options.profile == .fla
        let heads = projections.heads(inputs, angles: isFLA ? nil : angles, scale: scale, silu: isFLA)
        let (slots, states) = try step.gatedSlots(heads, gates: inputs[3], divisor: Self.gateDivisor)
        let joined: RecordedStep.Rows
        var caches: RecordedStep.CacheTable?
        if let outputNorm {
            joined = try step.join(
                slots, siluNorm: outputNorm, epsilon: Self.outputNormEpsilon, readers: [output.weight])
        } else if windowShare != nil {
            let (window, table) = try step.attention(heads)
            caches = table
            joined = try step.join(
                slots, window: (window, inputs[4]), heads: projections.heads, readers: [output.weight])
        } else {
            joined = try step.join(slots, window: nil, heads: projections.heads, readers: [output.weight])
        }
        try step.linear(joined, output, addedTo: residual)
        return { state, row in
            let state = try state.required(as: State.self)
            try states.bind(&state.slots, row: row)
            if let caches { try state.window?.required(as: KeyValueCache.self).bind(to: caches, row: row) }
        }
    }

    // MARK: State

    /// The slots and, with a window, the keys and values of the last tokens.
    public final class State: MixerState {
        var slots: GatedSlotState
        let window: (any AttentionCache)?

        init(slots: GatedSlotState, window: (any AttentionCache)?) {
            self.slots = slots
            self.window = window
        }

        public var byteCount: Int { slots.byteCount + (window?.byteCount ?? 0) }
        public func copy() -> MixerState { State(slots: slots, window: window?.copy() as? any AttentionCache) }

        public func undo() -> () -> Void {
            { [self, slots, window = window?.undo()] in
                self.slots = slots
                window?()
            }
        }

        public func store(in snapshot: inout StateSnapshot, prefix: String) throws {
            try snapshot.append("\(prefix)slots.keys", slots.keys.to(.cpu))
            try snapshot.append("\(prefix)slots.values", slots.values.to(.cpu))
            try window?.store(in: &snapshot, prefix: "\(prefix)window.")
        }

        public func restore(_ snapshot: StateSnapshot, prefix: String) throws {
            slots.keys = try snapshot.tensor("\(prefix)slots.keys", shape: slots.keys.shape)
                .to(slots.keys.device)
            slots.values = try snapshot.tensor("\(prefix)slots.values", shape: slots.values.shape)
                .to(slots.values.device)
            try window?.restore(snapshot, prefix: "\(prefix)window.")
        }
    }

    public func makeState(rows: Int) throws -> MixerState {
        let window = options.window > 0 ? try projections.makeCache(rows: rows, window: options.window) : nil
        let slots = try GatedSlotState.zeros(
            batch: rows, heads: projections.keyValueHeads, slots: options.slots, keyDim: projections.headDim,
            valueDim: projections.headDim, on: gate.weight.device)
        return State(slots: slots, window: window)
    }

    public static func stateCost(_ configuration: ModelConfiguration, layer: Int) throws -> StateCost {
        let (decoder, options) = (configuration.decoder, try Options(configuration))
        let slots = 2 * decoder.keyValueHeadCount * options.slots * decoder.headDim * DType.float32.size
        let window = options.window > 0 ? KeyValueCache.cost(decoder, window: options.window).constant : 0
        return StateCost(constant: slots + window, perToken: 0)
    }
}
