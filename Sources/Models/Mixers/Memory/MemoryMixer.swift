import Checkpoints
import Support
import Tensors

/// A long memory in a Transformer's place of softmax attention: the source's projections, what the heads read of the memory,
/// and optionally a window of the source's own softmax attention, with sinks, mixed in by a learned weight. Kept heads
/// (``SoftmaxAttention/Options/heads``) have no memory but softmax attention over a window of their own.
public struct MemoryMixer<Memory: LongMemory>: TokenMixer {
    public static var name: String { Memory.name }

    let projections: AttentionProjections
    let memory: Memory
    /// What the window beside the memory sees; nil without one.
    let span: AttentionSpan?
    /// What kept heads see.
    let keptSpan: AttentionSpan
    /// How they place tokens; nil as the other heads do.
    private let keptPositions: KeptPositions?
    /// The heads that have the memory, n of N; nil for all.
    let ownHeads: HeadSet?
    /// The others.
    let keptHeads: HeadSet?
    /// x → one logit for the window's share for each of the n · G heads; nil without a window.
    let windowShare: Linear?
    private let state: [StateTensor]
    private let layer: Int

    // MARK: Parameters

    public static func rules(_ configuration: ModelConfiguration, layer: Int) throws -> [ParameterRule] {
        let options = try MemoryMixerOptions<Memory>(configuration)
        let shape = try MemoryLayer(configuration, layer: layer)
        var rules = AttentionProjections.rules(configuration, layer: layer)
        rules += try Memory.rules(shape, options.memory)
        guard options.window > 0 else { return rules }
        rules.append(
            .new(
                "\(shape.prefix).window_proj.weight", shape: [shape.heads, shape.hiddenSize],
                .map(outputs: 0, norm: shape.norm)))
        // Measured untrained on SmolLM2-135M (docs/recipe.md): with sinks a memory that knows nothing yet does harm.
        let share: Float = try configuration.attention.sinks > 0 ? 2.5 : 1
        rules.append(.new("\(shape.prefix).window_proj.bias", shape: [shape.heads], .constant(share)))
        return rules
    }

    public init(_ configuration: ModelConfiguration, layer: Int, parameters: Parameters) throws {
        let options = try MemoryMixerOptions<Memory>(configuration)
        let shape = try MemoryLayer(configuration, layer: layer)
        projections = try AttentionProjections(configuration, layer: layer, parameters: parameters)
        let attention = try configuration.attention
        span = options.span(sinks: attention.sinks)
        keptSpan = attention.span(sliding: configuration.decoder.globalWindow)
        keptPositions = try KeptPositions(configuration)
        keptHeads = attention.heads[layer]
        ownHeads = keptHeads?.complement(of: projections.keyValueHeads)
        memory = try Memory(shape, options.memory, parameters: parameters)
        state = Memory.state(shape, options.memory)
        self.layer = layer
        windowShare = span == nil ? nil : try parameters.linear("\(shape.prefix).window_proj", hasBias: true)
    }

    /// The maps of the mixer's input.
    var inputMaps: [Linear] { projections.inputMaps + extraMaps }

    /// Those beside q, k and v.
    private var extraMaps: [Linear] { memory.inputMaps + (windowShare.map { [$0] } ?? []) }

    public var outputMap: Linear { projections.outputMap }

    // MARK: Forward

    public func callAsFunction(_ input: NormedInput, state: MixerState?, context: MixerContext) throws -> Tensor {
        let state = try state?.required(as: MemoryState.self)
        let (q, k, v, extra) = try projections.qkv(input, extra: extraMaps, context: context)
        guard let keptHeads, let ownHeads else {
            return try projections.joined(mix(input, q: q, k: k, v: v, extra, state, context))
        }
        let all = projections.keyValueHeads
        func heads(_ set: HeadSet) throws -> (q: Tensor, k: Tensor, v: Tensor) {
            (try q.heads(set, of: all), try k.heads(set, of: all), try v.heads(set, of: all))
        }
        let own = try heads(ownHeads), kept = try heads(keptHeads)
        let turned = try projections.turned(
            q: kept.q, k: kept.k, v: kept.v, span: keptSpan, context.turns[projections.kind].ofKept)
        let attended = try projections.attend(turned, span: keptSpan, cache: state?.kept, context: context)
        let mixed = try mix(input, q: own.q, k: own.k, v: own.v, extra, state, context)
        return try projections.joined(attended.joined(with: mixed, as: keptHeads, of: all))
    }

    /// The heads with a memory: q (B, T, n · G, K), k and v (B, T, n, K) and the outputs of ``extraMaps`` → (B, T, n · G, V).
    private func mix(
        _ normed: NormedInput, q: Tensor, k: Tensor, v: Tensor, _ extra: [Tensor], _ state: MemoryState?,
        _ context: MixerContext
    ) throws -> Tensor {
        let turned =
            memory.isRotated || span != nil
            ? try projections.turned(q: q, k: k, v: v, span: span, context.turns[projections.kind].mixer) : nil
        let maps = Array(extra.prefix(memory.inputMaps.count))
        var input = MemoryInput(q: q, k: k, v: v, maps: maps, x: normed, context)
        if memory.isRotated, let turned { (input.q, input.k) = (turned.q, turned.k) }
        let before = try context.memoryUses == nil ? [] : state?.memory.perHead(count(of: k)) ?? []
        let remembered = try remember(input, state, context)
        if let uses = context.memoryUses, let state {
            uses.add(
                MemoryUse(
                    layer: layer, mixer: Memory.name, heads: ownHeads?.heads ?? Array(0..<count(of: k)),
                    before: before, after: try state.memory.perHead(count(of: k)),
                    windowLogits: try span == nil ? [] : extra.last?.floats() ?? [],
                    slots: try memory.slotUse(input, state.memory)))
        }
        guard let span, let turned, let logits = extra.last else { return remembered }
        return try projections.attend(
            turned, span: span, cache: state?.window, context: context,
            mixture: HeadMixture(remembered, logits: logits))
    }

    /// The heads of k (B, T, n, K).
    private func count(of k: Tensor) -> Int { k.shape[2] }

    /// What the heads read of the memory, whose state goes on.
    private func remember(_ input: MemoryInput, _ state: MemoryState?, _ context: MixerContext) throws -> Tensor {
        try MemoryState.read(state, context) { try memory(input, state: &$0) }
    }

    // MARK: State

    public func makeState(rows: Int, cache: CacheType) throws -> MixerState {
        try state(rows: rows) { span, heads, positions in
            try projections.makeCache(cache, rows: rows, span: span, heads: heads, positions: positions)
        }
    }

    public func makeCarriedState(rows: Int, tokens: Int) throws -> MixerState {
        try state(rows: rows) { span, heads, _ in
            try projections.makeCarriedKeys(rows: rows, tokens: tokens, span: span, heads: heads)
        }
    }

    private func state(
        rows: Int, _ makeCache: (AttentionSpan, Int, KeptPositions?) throws -> any AttentionCache
    ) throws -> MixerState {
        let (count, device) = (ownHeads?.count ?? projections.keyValueHeads, projections.query.weight.device)
        return MemoryState(
            memory: try MemoryTensors(state, rows: rows, on: device),
            window: try span.map { try makeCache($0, count, nil) },
            kept: try keptHeads.map { try makeCache(keptSpan, $0.count, keptPositions) },
            staysInPlace: device.traits.recordsWork)
    }

    public static func activationFloats(_ configuration: ModelConfiguration, layer: Int) throws -> Int {
        Memory.activationFloats(
            try MemoryLayer(configuration, layer: layer), try MemoryMixerOptions<Memory>(configuration).memory)
    }

    public static func stateCost(
        _ configuration: ModelConfiguration, layer: Int, on device: Device, cache type: CacheType
    ) throws -> StateCost {
        let (decoder, attention) = (configuration.decoder, try configuration.attention)
        let options = try MemoryMixerOptions<Memory>(configuration)
        let shape = try MemoryLayer(configuration, layer: layer)
        let memory = StateCost(
            constant: Memory.state(shape, options.memory).reduce(0) { $0 + $1.byteCount(on: device) }, perToken: 0)
        func cache(_ heads: Int, _ span: AttentionSpan?) -> StateCost {
            span.map { KeyValueCache.cost(decoder, heads: heads, span: $0, on: device, type) }
                ?? StateCost(constant: 0, perToken: 0)
        }
        return memory + cache(shape.keyValueHeads, options.span(sinks: attention.sinks))
            + cache(decoder.keyValueHeadCount - shape.keyValueHeads, attention.span(sliding: decoder.globalWindow))
    }
}
