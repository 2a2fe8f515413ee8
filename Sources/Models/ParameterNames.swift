/// What a checkpoint calls the decoder's parameters. The mixers name their own under ``mixer(_:)``.
public enum ParameterNames: Sendable, Equatable {
    /// Hugging Face's Llama.
    case huggingFace
    /// flash-linear-attention's models.
    case flashLinearAttention

    /// The token embedding (vocabulary, D).
    public var embedding: String {
        self == .huggingFace ? "model.embed_tokens.weight" : "model.embeddings.weight"
    }
    /// The weight (D) of the norm after the last layer.
    public var finalNorm: String { "model.norm.weight" }
    /// The output layer (vocabulary, D), where it is not the embedding.
    public var head: String { "lm_head.weight" }

    /// The weight (D) of the norm before the mixer of `layer`.
    public func mixerNorm(_ layer: Int) -> String {
        "model.layers.\(layer)." + (self == .huggingFace ? "input_layernorm.weight" : "attn_norm.weight")
    }
    /// The weight (D) of the norm before the MLP of `layer`.
    public func mlpNorm(_ layer: Int) -> String {
        "model.layers.\(layer)." + (self == .huggingFace ? "post_attention_layernorm.weight" : "mlp_norm.weight")
    }
    /// The prefix of the mixer's parameters in `layer`, without a final dot.
    public func mixer(_ layer: Int) -> String {
        "model.layers.\(layer)." + (self == .huggingFace ? "self_attn" : "attn")
    }
    /// The prefix of the MLP's parameters in `layer`, without a final dot.
    public func mlp(_ layer: Int) -> String { "model.layers.\(layer).mlp" }
}
