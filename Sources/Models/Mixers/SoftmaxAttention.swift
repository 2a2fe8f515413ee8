import Checkpoints
import Tensors

/// Grouped-query softmax attention with rotary positions (Vaswani et al. 2017; Ainslie et al. 2023, arXiv 2305.13245),
/// causal, with the source's sliding window if it has one. Its state is the key/value cache.
public struct SoftmaxAttention: TokenMixer {
    public static let name = "attention"

    let projections: AttentionProjections
    let window: Int?

    public static func rules(_ configuration: ModelConfiguration, layer: Int) throws -> [ParameterRule] {
        AttentionProjections.rules(configuration, layer: layer)
    }

    public init(_ configuration: ModelConfiguration, layer: Int, parameters: Parameters) throws {
        projections = try AttentionProjections(configuration, layer: layer, parameters: parameters)
        window = configuration.decoder.slidingWindow
    }

    public func callAsFunction(_ x: Tensor, state: MixerState?, context: MixerContext) throws -> Tensor {
        var (q, k, v, _) = try projections.qkv(x)
        (q, k) = (try context.rotary(q), try context.rotary(k))
        let cache = try state?.requiredCache()
        return try projections.output(
            projections.attend(q: q, k: k, v: v, window: window, cache: cache, context: context))
    }

    public var inputWeights: [Tensor] { projections.inputMaps.map(\.weight) }

    public func record(
        _ step: RecordedStep, input: RecordedStep.Rows, residual: RecordedStep.Rows, angles: RecordedStep.Angles
    ) throws -> StateBinding {
        let inputs = try step.linear(input, maps: projections.inputMaps)
        let (mixed, caches) = try step.attention(projections.heads(inputs, angles: angles))
        let joined = try step.join(
            mixed, window: nil, heads: projections.heads, readers: [projections.outputMap.weight])
        try step.linear(joined, projections.outputMap, addedTo: residual)
        return { try $0.required(as: KeyValueCache.self).bind(to: caches, row: $1) }
    }

    public func makeState(rows: Int) throws -> MixerState { try projections.makeCache(rows: rows, window: window) }

    public static func stateCost(_ configuration: ModelConfiguration, layer: Int) throws -> StateCost {
        KeyValueCache.cost(configuration.decoder, window: configuration.decoder.slidingWindow)
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

    /// 1/sqrt(K).
    var scale: Float { 1 / Float(headDim).squareRoot() }

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
    }

    /// x (B, T, D) → q (B, T, H, K), k and v (B, T, N, K), and the outputs of `extra` maps of the same input.
    func qkv(_ x: Tensor, extra: [Linear] = []) throws -> (q: Tensor, k: Tensor, v: Tensor, extra: [Tensor]) {
        let outputs = try x.linear(inputMaps + extra)
        let rows = Array(x.shape.prefix(2))
        return (
            try outputs[0].reshaped(rows + [heads, headDim]), try outputs[1].reshaped(rows + [keyValueHeads, headDim]),
            try outputs[2].reshaped(rows + [keyValueHeads, headDim]), Array(outputs.dropFirst(3))
        )
    }

    /// The maps of the mixer's input: q, k, v.
    var inputMaps: [Linear] { [query, key, value] }

    /// The heads of a recorded step whose first projections are those of ``inputMaps``.
    func heads(
        _ inputs: [RecordedStep.Rows], angles: RecordedStep.Angles?, scale: Float? = nil, silu: Bool = false
    ) -> RecordedStep.Heads {
        RecordedStep.Heads(
            q: inputs[0], k: inputs[1], v: inputs[2], heads: heads, keyValueHeads: keyValueHeads,
            scale: scale ?? self.scale, angles: angles, silu: silu)
    }

    /// The heads' outputs (B, T, H, V) → (B, T, D).
    func output(_ mixed: Tensor) throws -> Tensor {
        try outputMap(mixed.reshaped(Array(mixed.shape.prefix(2)) + [heads * headDim]))
    }

    /// Causal softmax attention of q (B, T, H, K) over k and v (B, T, N, K), and over `cache` where sequences go on.
    func attend(
        q: Tensor, k: Tensor, v: Tensor, window: Int?, cache: (any AttentionCache)?, context: MixerContext
    ) throws -> Tensor {
        try cache?.attend(q: q, k: k, v: v, scale: scale, context: context)
            ?? q.attention(k: k, v: v, scale: scale, span: AttentionSpan(window: window), documents: context.documents)
    }

    func makeCache(rows: Int, window: Int?) throws -> any AttentionCache {
        query.weight.device == .cuda
            ? try DeviceKeyValueCache(rows: rows, heads: keyValueHeads, dim: headDim, window: window)
            : try KeyValueCache(heads: keyValueHeads, keyDim: headDim, valueDim: headDim, window: window)
    }
}
