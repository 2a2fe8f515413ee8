import Checkpoints
import Tensors

/// Gated Slot Attention (Zhang et al. 2024, arXiv 2409.07146): M slots of keys and values per key/value head, each
/// forgetting at its own data-dependent rate, read by a softmax over slots. Constant memory, whatever the length.
///
/// Two profiles: ``Profile/softmaxPreserving`` keeps the source's attention as it is (rotary positions, scale, values)
/// and adds slots and, optionally, a window of the source's own softmax attention, with sinks, mixed in by a learned weight;
/// ``Profile/fla`` is flash-linear-attention's layer, so that its tools load the result. Kept heads
/// (``SoftmaxAttention/Options/heads``) have no slots but softmax attention over a window of their own.
public struct GatedSlotAttention: TokenMixer {
    /// "gsa".
    public static let name = "gsa"

    /// The log gate is logsigmoid(f) / 8, so that a gate of 0 forgets slowly (paper, section 3).
    static let gateDivisor: Float = 8

    let options: Options
    let projections: AttentionProjections
    /// What the window beside the slots sees; nil without one.
    private let span: AttentionSpan?
    /// What kept heads see.
    private let keptSpan: AttentionSpan
    /// How they place tokens; nil as the other heads do.
    private let keptPositions: KeptPositions?
    /// The heads that have slots, n of N; nil for all.
    private let slotHeads: HeadSet?
    /// The others.
    private let keptHeads: HeadSet?
    /// x → log-gate inputs (n · M).
    let gate: Linear
    /// x → one logit for the window's share for each of the n · G heads; nil without a window.
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
        let kept = try configuration.attention.heads[layer]?.count ?? 0
        let gates = (decoder.keyValueHeadCount - kept) * options.slots
        var rules = AttentionProjections.rules(configuration, layer: layer)
        switch options.profile {
        case .fla:
            rules.append(
                .new("\(prefix).f_proj.weight", shape: [gates, decoder.hiddenSize], .normal(standardDeviation: 0.02)))
            rules.append(.new("\(prefix).g_norm.weight", shape: [decoder.hiddenSize], .constant(1)))
        case .softmaxPreserving:
            let norm = decoder.normPlacement == .after ? nil : configuration.names.mixerNorm(layer) + ".weight"
            rules.append(
                .new(
                    "\(prefix).gate_proj.weight", shape: [gates, decoder.hiddenSize],
                    .map(outputs: 0.08, norm: norm)))
            rules.append(
                .new(
                    "\(prefix).gate_proj.bias", shape: [gates],
                    .halfLives(slots: options.slots, shortest: 2, longest: 4096, divisor: Double(gateDivisor))))
            if options.window > 0 {
                let group = decoder.headCount / max(1, decoder.keyValueHeadCount)
                let heads = decoder.headCount - kept * group
                rules.append(
                    .new(
                        "\(prefix).window_proj.weight", shape: [heads, decoder.hiddenSize],
                        .map(outputs: 0, norm: norm)))
                // Measured untrained on SmolLM2-135M (docs/recipe.md): with sinks slots that know nothing yet do harm.
                let share: Float = try configuration.attention.sinks > 0 ? 2.5 : 1
                rules.append(.new("\(prefix).window_proj.bias", shape: [heads], .constant(share)))
            }
        }
        return rules
    }

    public init(_ configuration: ModelConfiguration, layer: Int, parameters: Parameters) throws {
        options = try Options(configuration)
        let prefix = configuration.names.mixer(layer)
        projections = try AttentionProjections(configuration, layer: layer, parameters: parameters)
        let attention = try configuration.attention
        span = options.span(sinks: attention.sinks)
        keptSpan = attention.span(sliding: configuration.decoder.globalWindow)
        keptPositions = try KeptPositions(configuration)
        keptHeads = attention.heads[layer]
        slotHeads = keptHeads?.complement(of: projections.keyValueHeads)
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
        let (q, k, v, extra) = try projections.qkv(x, extra: gateMaps, context: context)
        guard let keptHeads, let slotHeads else {
            let mixed = try mix(q: q, k: k, v: v, gates: extra, state: state, context)
            guard let outputNorm else { return try projections.output(mixed, context) }
            let flat = try mixed.activated(.silu).reshaped(
                x.shape.prefix(2) + [projections.heads * projections.headDim])
            let normed = try flat.rmsNorm(weight: outputNorm, epsilon: Self.outputNormEpsilon)
            return try normed.linear([projections.outputMap], context)[0]
        }
        let all = projections.keyValueHeads
        func heads(_ set: HeadSet) throws -> (q: Tensor, k: Tensor, v: Tensor) {
            (try q.heads(set, of: all), try k.heads(set, of: all), try v.heads(set, of: all))
        }
        let own = try heads(slotHeads), kept = try heads(keptHeads)
        let mixed = try mix(q: own.q, k: own.k, v: own.v, gates: extra, state: state, context)
        let turned = try projections.turned(
            q: kept.q, k: kept.k, v: kept.v, span: keptSpan, context.turns[projections.kind].ofKept)
        let attended = try projections.attend(turned, span: keptSpan, cache: state?.kept, context: context)
        return try projections.output(attended.joined(with: mixed, as: keptHeads, of: all), context)
    }

    /// The heads with slots: q (B, T, n · G, K), k and v (B, T, n, K) and the outputs of the gate maps → (B, T, n · G, V).
    private func mix(
        q: Tensor, k: Tensor, v: Tensor, gates: [Tensor], state: State?, _ context: MixerContext
    ) throws -> Tensor {
        let logGates = try gates[0].logGate(divisor: Self.gateDivisor)
            .reshaped(Array(q.shape.prefix(2)) + [k.shape[2], options.slots])
        var heads: AttentionHeads
        switch options.profile {
        case .fla:
            heads = AttentionHeads(
                q: try q.activated(.silu), k: try k.activated(.silu), v: try v.activated(.silu))
        case .softmaxPreserving:
            heads = try projections.turned(
                q: q, k: k, v: v, span: span, context.turns[projections.kind].mixer)
        }
        let slots: Tensor
        if let state, let carried = context.carried {
            var running = try state.slots.carried(carried)
            slots = try Tensor.gatedSlotAttention(
                q: heads.q, k: heads.k, v: heads.v, logGates: logGates, scale: scale, state: &running,
                documents: context.documents)
            state.next = running.detached
        } else if let state {
            slots = try Tensor.gatedSlotAttention(
                q: heads.q, k: heads.k, v: heads.v, logGates: logGates, scale: scale, state: &state.slots,
                documents: context.documents)
        } else {
            slots = try Tensor.gatedSlotAttention(
                q: heads.q, k: heads.k, v: heads.v, logGates: logGates, scale: scale, documents: context.documents)
        }
        guard let span else { return slots }
        let window = try projections.attend(heads, span: span, cache: state?.window, context: context)
        return try Tensor.mix(window, slots, logits: gates[1])
    }

    // MARK: The step

    public var inputWeights: [Tensor] { (projections.inputMaps + gateMaps).map(\.weight) }

    public var outputMap: Linear { projections.outputMap }

    public func record(
        _ step: RecordedStep, input: RecordedStep.Rows, angles: StepAngles
    ) throws -> (joined: RecordedStep.Rows, binding: StateBinding) {
        let (output, kind) = (projections.outputMap, projections.kind)
        let inputs = try step.linear(input, maps: projections.inputMaps + gateMaps)
        let isFLA = options.profile == .fla
        let all = try projections.heads(
            step, inputs, angles: isFLA ? nil : angles.mixer(kind), scale: scale, silu: isFLA)
        let heads = all.only(slotHeads)
        let (slots, states) = try step.gatedSlots(heads, gates: inputs[3], divisor: Self.gateDivisor)
        let joined: RecordedStep.Rows
        var caches, keptCaches: RecordedStep.CacheTable?
        var window: RecordedStep.Rows?
        if let span { (window, caches) = try step.attention(heads, most: span.most) }
        // Kept heads lie beside those of the window, or, where there is none, of the slots.
        if let keptHeads {
            let kept = all.only(keptHeads).turned(by: angles.kept(kind))
            keptCaches = try step.attention(kept, into: window ?? slots, most: keptSpan.most).caches
        }
        if let outputNorm {
            joined = try step.join(
                slots, siluNorm: outputNorm, epsilon: Self.outputNormEpsilon, readers: [output.weight])
        } else {
            joined = try step.join(
                slots, window: window.map { ($0, inputs[4]) }, heads: heads, readers: [output.weight])
        }
        let binding: StateBinding = { [caches, keptCaches] state, row in
            let state = try state.required(as: State.self)
            try states.bind(&state.slots, row: row)
            if let caches { try state.window?.required(as: KeyValueCache.self).bind(to: caches, row: row) }
            if let keptCaches { try state.kept?.required(as: KeyValueCache.self).bind(to: keptCaches, row: row) }
        }
        return (joined, binding)
    }

    // MARK: State

    /// The slots and, with a window, the keys and values of the last tokens; and those that kept heads see.
    public final class State: MixerState {
        var slots: GatedSlotState
        let window: (any AttentionCache)?
        let kept: (any AttentionCache)?
        /// What rows in training have left to the next.
        var next: GatedSlotState?

        init(slots: GatedSlotState, window: (any AttentionCache)?, kept: (any AttentionCache)?) {
            (self.slots, self.window, self.kept) = (slots, window, kept)
        }

        private var caches: [any AttentionCache] { [window, kept].compactMap { $0 } }

        public var byteCount: Int { caches.reduce(slots.byteCount) { $0 + $1.byteCount } }

        public func copy() -> MixerState {
            State(
                slots: slots, window: window?.copy() as? any AttentionCache, kept: kept?.copy() as? any AttentionCache)
        }

        public func undo() -> () -> Void {
            { [self, slots, caches = caches.map { $0.undo() }] in
                self.slots = slots
                for undo in caches { undo() }
            }
        }

        public func advance() throws {
            if let next { try slots.take(next) }
            next = nil
            for cache in caches { try cache.advance() }
        }

        public func reserve(_ positions: Int, count: Int) throws {
            for cache in caches { try cache.reserve(positions, count: count) }
        }

        public func store(in snapshot: inout StateSnapshot, prefix: String) throws {
            try snapshot.append("\(prefix)slots.keys", slots.keys.to(.cpu))
            try snapshot.append("\(prefix)slots.values", slots.values.to(.cpu))
            try window?.store(in: &snapshot, prefix: "\(prefix)window.")
            try kept?.store(in: &snapshot, prefix: "\(prefix)kept.")
        }

        public func restore(_ snapshot: StateSnapshot, prefix: String) throws {
            slots.keys = try snapshot.tensor("\(prefix)slots.keys", shape: slots.keys.shape)
                .to(slots.keys.device)
            slots.values = try snapshot.tensor("\(prefix)slots.values", shape: slots.values.shape)
                .to(slots.values.device)
            try window?.restore(snapshot, prefix: "\(prefix)window.")
            try kept?.restore(snapshot, prefix: "\(prefix)kept.")
        }
    }

    public func makeCarriedState(rows: Int, tokens: Int) throws -> MixerState {
        let count = slotHeads?.count ?? projections.keyValueHeads
        func keys(_ span: AttentionSpan, _ heads: Int) throws -> CarriedKeys {
            try projections.makeCarriedKeys(rows: rows, tokens: tokens, span: span, heads: heads)
        }
        return State(
            slots: try .zeros(
                batch: rows, heads: count, slots: options.slots, keyDim: projections.headDim,
                valueDim: projections.headDim, on: gate.weight.device),
            window: try span.map { try keys($0, count) },
            kept: try keptHeads.map { try keys(keptSpan, $0.count) })
    }

    public func makeState(rows: Int, cache: CacheType) throws -> MixerState {
        let count = slotHeads?.count ?? projections.keyValueHeads
        let slots = try GatedSlotState.zeros(
            batch: rows, heads: count, slots: options.slots, keyDim: projections.headDim,
            valueDim: projections.headDim, on: gate.weight.device)
        return State(
            slots: slots,
            window: try span.map { try projections.makeCache(cache, rows: rows, span: $0, heads: count) },
            kept: try keptHeads.map {
                try projections.makeCache(cache, rows: rows, span: keptSpan, heads: $0.count, positions: keptPositions)
            })
    }

    public static func stateCost(
        _ configuration: ModelConfiguration, layer: Int, on device: Device, cache type: CacheType
    ) throws -> StateCost {
        let (decoder, options, attention) = (
            configuration.decoder, try Options(configuration), try configuration.attention
        )
        let kept = attention.heads[layer]?.count ?? 0, count = decoder.keyValueHeadCount - kept
        let slots = StateCost(
            constant: 2 * count * options.slots * decoder.headDim * DType.float32.size, perToken: 0)
        func cache(_ heads: Int, _ span: AttentionSpan?) -> StateCost {
            span.map { KeyValueCache.cost(decoder, heads: heads, span: $0, on: device, type) }
                ?? StateCost(constant: 0, perToken: 0)
        }
        return slots + cache(count, options.span(sinks: attention.sinks))
            + cache(kept, attention.span(sliding: decoder.globalWindow))
    }
}
