/// What a checkpoint calls the decoder's parameters. The mixers name their own under ``mixer(_:)``.
public enum ParameterNames: Sendable, Equatable {
    /// Hugging Face's Llama.
    case huggingFace
    /// flash-linear-attention's models.
    case flashLinearAttention

    /// Those of the tensors of a model of this `model_type`, as the decoder gets them.
    public init(modelType: String) {
        self = FlashLinearAttention.modelTypes.contains(modelType) ? .flashLinearAttention : .huggingFace
    }

    /// The token embedding (vocabulary, D).
    public var embedding: String {
        self == .huggingFace ? "model.embed_tokens.weight" : "model.embeddings.weight"
    }
    /// The prefix of the norm after the last layer, without a final dot.
    public var finalNorm: String { "model.norm" }
    /// The output layer (vocabulary, D), where it is not the embedding.
    public var head: String { "lm_head.weight" }

    /// The prefix of the norm before the mixer of `layer`, without a final dot.
    public func mixerNorm(_ layer: Int) -> String {
        "model.layers.\(layer)." + (self == .huggingFace ? "input_layernorm" : "attn_norm")
    }
    /// The prefix of the norm before the MLP of `layer`, without a final dot.
    public func mlpNorm(_ layer: Int) -> String {
        "model.layers.\(layer)." + (self == .huggingFace ? "post_attention_layernorm" : "mlp_norm")
    }
    /// The table (positions, D) that is added to embeddings.
    public var positions: String { "model.embed_positions.weight" }
    /// The prefix of the norm of what the mixer of `layer` gives, without a final dot.
    public func mixerOutputNorm(_ layer: Int) -> String { "model.layers.\(layer).post_mixer_layernorm" }
    /// The prefix of the norm of what the MLP of `layer` gives, without a final dot.
    public func mlpOutputNorm(_ layer: Int) -> String { "model.layers.\(layer).post_mlp_layernorm" }
    /// The prefix of the mixer's parameters in `layer`, without a final dot.
    public func mixer(_ layer: Int) -> String {
        "model.layers.\(layer)." + (self == .huggingFace ? "self_attn" : "attn")
    }
    /// The prefix of the MLP's parameters in `layer`, without a final dot.
    public func mlp(_ layer: Int) -> String { "model.layers.\(layer).mlp" }
    /// The prefix of the map (E, D) by which tokens of `layer` take experts, without a final dot.
    public func router(_ layer: Int) -> String { "\(mlp(layer)).gate" }
    /// The prefix of the parameters of an expert of `layer`, without a final dot.
    public func expert(_ layer: Int, _ number: Int) -> String { "\(mlp(layer)).experts.\(number)" }
}
