import Support
import Tensors

/// A decoder as data: everything that tells one source family from another, but its token mixers' own settings, which stay in
/// ``json``. What is not said of a family is as Llama has it.
///
/// Values are validated: sizes are positive and bounded, so that products of three of them fit in an Int; heads divide.
public struct DecoderConfiguration: Sendable, Equatable {
    /// The `model_type` of config.json: that of a family, or "moult".
    public var modelType: String
    /// Tokens of the vocabulary: rows of the embedding.
    public var vocabularySize: Int
    /// Model width D.
    public var hiddenSize: Int
    /// Layers, L.
    public var layerCount: Int
    /// Query heads H, a multiple of ``keyValueHeadCount``.
    public var headCount: Int
    /// Key/value heads N.
    public var keyValueHeadCount: Int
    /// Dimensions per head K, even.
    public var headDim: Int
    /// MLP width F; 0 where layers are mixers alone.
    public var intermediateSize: Int
    /// The longest context the model was made for.
    public var maximumPositions: Int
    /// What the norms add to the mean square.
    public var normEpsilon: Float
    /// The base of rotary positions' frequencies.
    public var ropeTheta: Double = 10_000
    /// How rotary positions are stretched for long texts; nil for not at all.
    public var ropeScaling: RopeScaling?
    /// Positions that softmax attention sees, in all layers but ``globalLayers``; all when nil.
    public var slidingWindow: Int?
    /// Whether the output layer is the token embedding.
    public var tiedEmbeddings = false
    /// Biases of the q, k and v projections.
    public var attentionBias = false
    /// Bias of the o projection.
    public var outputBias = false
    /// Biases of the MLP's projections.
    public var mlpBias = false
    /// Ids of tokens that texts begin with.
    public var bosTokens: [Int] = []
    /// Ids of tokens that end texts.
    public var eosTokens: [Int] = []
    /// The id of the token that fills up batches; nil for none.
    public var padToken: Int?
    /// The whole config.json, for settings of mixers and for writing back; made from the metadata for GGUF.
    public var json: JSONObject

    // MARK: What other families have

    /// The norms' kind; those of kind `layer` have biases.
    public var norm = Normalisation.Kind.rms
    /// Where a layer's norms stand.
    public var normPlacement = NormPlacement.before
    /// Whether the MLP reads the layer's input, beside the mixer, instead of what the mixer has added to.
    public var isParallel = false
    /// Norms of queries and keys before they turn; nil for none.
    public var queryKeyNorm: QueryKeyNorm?
    /// What the MLP does between its products.
    public var activation = Activation.silu
    /// Whether a product of its own gates the MLP: act(gate(x)) · up(x), or act(up(x)).
    public var isGated = true
    /// Experts in the place of the MLP, in some layers or all; nil for none.
    public var experts: ExpertMixture?
    /// What embeddings are multiplied by.
    public var embeddingScale: Float = 1
    /// Whether a table of ``maximumPositions`` rows is added to the embeddings; there is no rotation then.
    public var hasLearnedPositions = false
    /// What products of queries and keys are multiplied by; nil for 1/√K.
    public var attentionScale: Float?
    /// c of c · tanh(x/c), which bounds these products; nil for none.
    public var attentionCap: Float?
    /// The same of logits.
    public var logitCap: Float?
    /// Dimensions of a head that turn, even; nil for all. They are the first of each half of the head.
    public var rotaryDim: Int?
    /// Layers that see all tokens in spite of ``slidingWindow``.
    public var globalLayers: Set<Int> = []
    /// The rotary positions of layers with ``slidingWindow``, where they are others.
    public var localRope: Rope?
    /// Layers whose heads do not turn.
    public var unrotatedLayers: Set<Int> = []

    /// Where a layer's norms stand.
    public enum NormPlacement: String, Sendable, CaseIterable {
        /// Before the mixer and before the MLP.
        case before
        /// After each of them, before what they give is added.
        case after
        /// Both.
        case around
    }

    /// What norms of queries and keys are taken over.
    public enum QueryKeyNorm: String, Sendable, CaseIterable {
        /// Each head by itself, with a weight (K).
        case head
        /// All heads together, with a weight (H · K) or (N · K).
        case whole
    }

    /// Rotary positions.
    public struct Rope: Sendable, Equatable {
        /// The base of the frequencies.
        public var theta: Double
        /// How positions are stretched for long texts; nil for not at all.
        public var scaling: RopeScaling?

        /// Positions of this base and scaling.
        public init(theta: Double, scaling: RopeScaling? = nil) { (self.theta, self.scaling) = (theta, scaling) }
    }

    /// A decoder of these sizes, otherwise like Llama without biases.
    public init(
        modelType: String, vocabularySize: Int, hiddenSize: Int, layerCount: Int, headCount: Int,
        keyValueHeadCount: Int,
        headDim: Int, intermediateSize: Int, maximumPositions: Int, normEpsilon: Float, json: JSONObject
    ) {
        self.modelType = modelType
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.layerCount = layerCount
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.headDim = headDim
        self.intermediateSize = intermediateSize
        self.maximumPositions = maximumPositions
        self.normEpsilon = normEpsilon
        self.json = json
    }

    // MARK: Layers

    /// Whether `layer` sees no more than ``slidingWindow`` tokens while others see all: what bounds it is its own.
    public func isLocal(_ layer: Int) -> Bool {
        slidingWindow != nil && !globalLayers.isEmpty && !globalLayers.contains(layer)
    }

    /// Positions that softmax attention of `layer` sees; all when nil.
    public func window(_ layer: Int) -> Int? { globalLayers.contains(layer) ? nil : slidingWindow }

    /// The window of the layers that conversion replaces: nil where some see all tokens, for then it is these.
    public var globalWindow: Int? { globalLayers.isEmpty ? slidingWindow : nil }

    /// The rotary positions of `layer`; nil where its heads do not turn.
    public func rope(_ layer: Int) -> Rope? {
        if hasLearnedPositions || unrotatedLayers.contains(layer) { return nil }
        return (isLocal(layer) ? localRope : nil) ?? Rope(theta: ropeTheta, scaling: ropeScaling)
    }

    /// Says which layers have a sliding window: all of those with true.
    public mutating func setLocal(_ layers: [Bool]) {
        globalLayers = Set(layers.indices.filter { !layers[$0] })
        if globalLayers.count == layerCount { (slidingWindow, globalLayers) = (nil, []) }
    }
}
