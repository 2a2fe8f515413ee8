import Checkpoints
import Tensors

/// Grouped-query softmax attention with rotary positions (Vaswani et al. 2017; Ainslie et al. 2023, arXiv 2305.13245),
/// causal, with the source's sliding window if it has one, or bounded by conversion. Its state is the key/value cache.
public struct SoftmaxAttention: TokenMixer {
    /// "attention".
    public static let name = "attention"
    public static let title = "softmax attention"

    let projections: AttentionProjections
    let span: AttentionSpan
    /// Whether the source bounds the layer itself, which then is as it was.
    private let isLocal: Bool
    /// Nil where they are the mixers'.
    private let positions: KeptPositions?

    public static func rules(_ configuration: ModelConfiguration, layer: Int) throws -> [ParameterRule] {
        AttentionProjections.rules(configuration, layer: layer)
    }

    public init(_ configuration: ModelConfiguration, layer: Int, parameters: Parameters) throws {
        projections = try AttentionProjections(configuration, layer: layer, parameters: parameters)
        span = try Self.span(configuration, layer: layer)
        isLocal = configuration.decoder.isLocal(layer)
        positions = isLocal ? nil : try KeptPositions(configuration)
    }

    /// What attention of `layer` sees.
    private static func span(_ configuration: ModelConfiguration, layer: Int) throws -> AttentionSpan {
        let window = configuration.decoder.window(layer)
        return configuration.decoder.isLocal(layer)
            ? AttentionSpan(window: window) : try configuration.attention.span(sliding: window)
    }

    public func callAsFunction(_ input: NormedInput, state: MixerState?, context: MixerContext) throws -> Tensor {
        let (q, k, v, _) = try projections.qkv(input, context: context)
        let turns = context.turns[projections.kind]
        let heads = try projections.turned(q: q, k: k, v: v, span: span, isLocal ? turns.mixer : turns.ofKept)
        return try projections.joined(
            projections.attend(heads, span: span, cache: state?.requiredCache(), context: context))
    }

    public var outputMap: Linear { projections.outputMap }

    public func makeState(rows: Int, cache: CacheType) throws -> MixerState {
        try projections.makeCache(cache, rows: rows, span: span, positions: positions)
    }

    public func makeCarriedState(rows: Int, tokens: Int) throws -> MixerState {
        try projections.makeCarriedKeys(rows: rows, tokens: tokens, span: span)
    }

    public static func stateCost(
        _ configuration: ModelConfiguration, layer: Int, on device: Device, cache: CacheType
    ) throws -> StateCost {
        let decoder = configuration.decoder
        return KeyValueCache.cost(
            decoder, heads: decoder.keyValueHeadCount,
            span: try span(configuration, layer: layer), on: device, cache)
    }
}

/// The query, key, value and output projections that a mixer shares with the Transformer it came from.
struct AttentionProjections: Sendable {
    let query: Linear
    let key: Linear
    let value: Linear
    let outputMap: Linear
    let heads: Int
    let keyValueHeads: Int
    let headDim: Int
    /// What products of queries and keys are multiplied by.
    let scale: Float
    /// c of c · tanh(x/c), which bounds these products; nil for none.
    let cap: Float?
    /// Norms of queries and keys before they turn; nil for none.
    let queryNorm: Normalisation?
    let keyNorm: Normalisation?
    /// The kind of the layer's rotary positions.
    let kind: Int
    /// See ``ModelConfiguration/farthestDistance``.
    let farthest: Int

    static func rules(_ configuration: ModelConfiguration, layer: Int) -> [ParameterRule] {
        let decoder = configuration.decoder
        let prefix = configuration.names.mixer(layer)
        let source = ParameterNames.huggingFace.mixer(layer)
        let query = decoder.headCount * decoder.headDim
        let keyValue = decoder.keyValueHeadCount * decoder.headDim
        var rules: [ParameterRule] = []
        for (name, outputs) in [("q_proj", query), ("k_proj", keyValue), ("v_proj", keyValue)] {
            rules.append(
                .reused(
                    "\(prefix).\(name).weight", from: "\(source).\(name).weight", shape: [outputs, decoder.hiddenSize]))
            if decoder.attentionBias {
                rules.append(.reused("\(prefix).\(name).bias", from: "\(source).\(name).bias", shape: [outputs]))
            }
        }
        rules.append(
            .reused("\(prefix).o_proj.weight", from: "\(source).o_proj.weight", shape: [decoder.hiddenSize, query]))
        if decoder.outputBias {
            rules.append(.reused("\(prefix).o_proj.bias", from: "\(source).o_proj.bias", shape: [decoder.hiddenSize]))
        }
        if let norm = decoder.queryKeyNorm {
            for (name, whole) in [("q_norm", query), ("k_norm", keyValue)] {
                let shape = [norm == .head ? decoder.headDim : whole]
                rules.append(.reused("\(prefix).\(name).weight", from: "\(source).\(name).weight", shape: shape))
            }
        }
        return rules
    }

    init(_ configuration: ModelConfiguration, layer: Int, parameters: Parameters) throws {
        let decoder = configuration.decoder
        let prefix = configuration.names.mixer(layer)
        query = try parameters.linear("\(prefix).q_proj", hasBias: decoder.attentionBias)
        key = try parameters.linear("\(prefix).k_proj", hasBias: decoder.attentionBias)
        value = try parameters.linear("\(prefix).v_proj", hasBias: decoder.attentionBias)
        outputMap = try parameters.linear("\(prefix).o_proj", hasBias: decoder.outputBias)
        (heads, keyValueHeads, headDim) = (decoder.headCount, decoder.keyValueHeadCount, decoder.headDim)
        scale = decoder.scoreScale
        cap = decoder.attentionCap
        func norm(_ name: String) throws -> Normalisation? {
            guard decoder.queryKeyNorm != nil else { return nil }
            return Normalisation(.rms, weight: try parameters["\(prefix).\(name).weight"], epsilon: decoder.normEpsilon)
        }
        (queryNorm, keyNorm) = (try norm("q_norm"), try norm("k_norm"))
        kind = DecoderRotary.kind(layer, of: decoder)
        farthest = try configuration.farthestDistance
    }

    /// Rows (B, T, D) → q (B, T, H, K), k and v (B, T, N, K), and the outputs of `extra` maps of the same input.
    func qkv(
        _ input: NormedInput, extra: [Linear] = [], context: MixerContext
    ) throws -> (q: Tensor, k: Tensor, v: Tensor, extra: [Tensor]) {
        let outputs = try input.linear(inputMaps + extra, context)
        let rows = Array(input.shape.prefix(2))
        func normed(_ x: Tensor, _ norm: Normalisation?, _ count: Int) throws -> Tensor {
            let shape = rows + [count, headDim]
            guard let norm else { return try x.reshaped(shape) }
            // Over each head, or all of them.
            return norm.weight.count == headDim
                ? try x.reshaped(shape).normalised(norm) : try x.normalised(norm).reshaped(shape)
        }
        return (
            try normed(outputs[0], queryNorm, heads), try normed(outputs[1], keyNorm, keyValueHeads),
            try outputs[2].reshaped(rows + [keyValueHeads, headDim]), Array(outputs.dropFirst(3))
        )
    }

    /// The maps of the mixer's input: q, k, v.
    var inputMaps: [Linear] { [query, key, value] }

    /// The heads' outputs (B, T, H, V) → (B, T, H · V).
    func joined(_ mixed: Tensor) throws -> Tensor {
        try mixed.reshaped(Array(mixed.shape.prefix(2)) + [heads * headDim])
    }

    /// What softmax attention with `span` joins of q (B, T, H, K), k and v (B, T, N, K): with rotary positions, and queries
    /// of their own for sinks that are further away than the source has seen. Not in training, whose rows are what the
    /// model then has seen.
    func turned(q: Tensor, k: Tensor, v: Tensor, span: AttentionSpan?, _ turns: Turns) throws -> AttentionHeads {
        let turned = try turns(q: q, k: k)
        var heads = AttentionHeads(q: turned.q, k: turned.k, v: v, scale: scale, cap: cap)
        if let span, span.window != nil, span.sinks > 0, let rotary = turns.sinkQueries, !q.isRecorded {
            heads.sinkQueries = try rotary(q)
        }
        return heads
    }

    /// Causal softmax attention of `heads`, over what `cache` holds too where sequences go on.
    /// - Parameter mixture: what the result is mixed with.
    func attend(
        _ heads: AttentionHeads, span: AttentionSpan, cache: (any AttentionCache)?, context: MixerContext,
        mixture: HeadMixture? = nil
    ) throws -> Tensor {
        if let cache { return try cache.attend(heads, context: context, mixture: mixture) }
        let attended = try heads.q.attention(
            k: heads.k, v: heads.v, scale: scale, cap: cap, span: span, sinkQueries: heads.sinkQueries,
            documents: context.documents)
        return try mixture.map { try $0(attended) } ?? attended
    }

    /// - Parameter count: key/value heads; nil for all.
    func makeCarriedKeys(rows: Int, tokens: Int, span: AttentionSpan, heads count: Int? = nil) throws -> CarriedKeys {
        try CarriedKeys(
            rows: rows, heads: count ?? keyValueHeads, dim: headDim, span: span, tokens: tokens,
            on: query.weight.device)
    }

    /// - Parameters:
    ///   - count: key/value heads; nil for all.
    ///   - positions: of kept attention, where they are not the mixers'.
    func makeCache(
        _ type: CacheType, rows: Int, span: AttentionSpan, heads count: Int? = nil, positions: KeptPositions? = nil
    ) throws -> any AttentionCache {
        let (heads, device) = (count ?? keyValueHeads, query.weight.device)
        return device.traits.recordsWork
            ? try DeviceKeyValueCache(rows: rows, heads: heads, dim: headDim, span: span, on: device)
            : try KeyValueCache(
                type, heads: heads, keyDim: headDim, valueDim: headDim, span: span,
                farthest: positions?.farthest ?? farthest, scale: positions?.scale)
    }
}

extension DecoderConfiguration {
    /// The greatest distance of two positions that the model was trained on.
    var farthestDistance: Int { max(1, maximumPositions - 1) }

    /// What products of queries and keys are multiplied by.
    var scoreScale: Float { attentionScale ?? 1 / Float(headDim).squareRoot() }
}
