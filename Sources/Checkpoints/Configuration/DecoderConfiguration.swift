/// The shape of a Llama-family decoder: everything but its token mixers' own settings, which stay in ``json``.
///
/// Values are validated: sizes are positive and bounded, so that products of three of them fit in an Int; heads divide.
public struct DecoderConfiguration: Sendable, Equatable {
    /// "llama", "mistral", "gsa" (flash-linear-attention) or "moult".
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
    /// MLP width F.
    public var intermediateSize: Int
    /// The longest context the model was made for.
    public var maximumPositions: Int
    /// What the norms add to the mean square.
    public var normEpsilon: Float
    /// The base of rotary positions' frequencies.
    public var ropeTheta: Double
    /// How rotary positions are stretched for long texts; nil for not at all.
    public var ropeScaling: RopeScaling?
    /// Positions that softmax attention sees; all when nil.
    public var slidingWindow: Int?
    /// Whether the output layer is the token embedding.
    public var tiedEmbeddings: Bool
    /// Biases of the q, k and v projections.
    public var attentionBias: Bool
    /// Bias of the o projection.
    public var outputBias: Bool
    /// Biases of the MLP's projections.
    public var mlpBias: Bool
    /// Ids of tokens that texts begin with.
    public var bosTokens: [Int]
    /// Ids of tokens that end texts.
    public var eosTokens: [Int]
    /// The id of the token that fills up batches; nil for none.
    public var padToken: Int?
    /// The whole config.json, for settings of mixers and for writing back; made from the metadata for GGUF.
    public var json: JSONObject

    /// The model types that are understood.
    public static let supported = ["llama", "mistral", "gsa", "moult"]
}
