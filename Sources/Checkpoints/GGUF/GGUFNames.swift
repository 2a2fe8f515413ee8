/// The decoder's names of a GGUF file's tensors, which llama.cpp calls alike in all architectures.
enum GGUFNames {
    private static let whole = [
        "token_embd": "model.embed_tokens", "position_embd": "model.embed_positions", "output_norm": "model.norm",
        "output": "lm_head",
    ]
    private static let inLayer = [
        "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
        "post_attention_norm": "post_mixer_layernorm", "post_ffw_norm": "post_mlp_layernorm",
        "attn_qkv": "self_attn.qkv_proj", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
        "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
        "ffn_gate_inp": "mlp.gate", "ffn_gate_exps": "mlp.experts.gate_proj", "ffn_up_exps": "mlp.experts.up_proj",
        "ffn_down_exps": "mlp.experts.down_proj",
    ]
    /// Those of older mixtures of experts, with an expert's number behind.
    private static let ofExperts = ["ffn_gate": "gate_proj", "ffn_up": "up_proj", "ffn_down": "down_proj"]
    /// The factors of Llama 3's RoPE scaling: configuration stored as a tensor.
    static let ropeFactors = "rope_freqs.weight"

    /// The Hugging Face name of the tensor `name`; an unknown name is kept.
    static func huggingFace(_ name: String) -> String {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        if parts.count == 2, let known = whole[String(parts[0])] { return "\(known).\(parts[1])" }
        guard parts.count > 3, parts[0] == "blk", let layer = Int(parts[1]), String(layer) == parts[1] else {
            return name
        }
        if parts.count == 4, let known = inLayer[String(parts[2])] {
            return "model.layers.\(layer).\(known).\(parts[3])"
        }
        if parts.count == 5, let known = ofExperts[String(parts[2])], let expert = Int(parts[3]),
            String(expert) == parts[3]
        {
            return "model.layers.\(layer).mlp.experts.\(expert).\(known).\(parts[4])"
        }
        return name
    }
}
