"""The teacher, SmolLM2-135M-Instruct, in transformers: read from its GGUF file without any of Moult's code."""

import math
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
GGUF = ROOT / ".models" / "SmolLM2-135M-Instruct.Q4_1.gguf"

_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def _undo_permutation(weight, heads):
    """llama.cpp stores query and key rows in pairs; Hugging Face in two halves per head."""
    rows, width = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, width).transpose(0, 2, 1, 3).reshape(rows, width)


def load(path=GGUF, dtype=torch.float32):
    """A LlamaForCausalLM whose weights the gguf package dequantised."""
    from gguf import GGUFReader, dequantize
    from transformers import LlamaConfig, LlamaForCausalLM

    reader = GGUFReader(path)

    def field(key):
        return reader.fields[f"llama.{key}"].contents()

    heads, groups = field("attention.head_count"), field("attention.head_count_kv")
    state, tied = {}, True
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type)
        base, _, _ = tensor.name.removesuffix(".weight").partition(".")
        if base == "blk":
            _, layer, kind = tensor.name.removesuffix(".weight").split(".")
            if kind in ("attn_q", "attn_k"):
                weight = _undo_permutation(weight, heads if kind == "attn_q" else groups)
            name = f"model.layers.{layer}.{_NAMES[kind]}.weight"
        else:
            name = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight",
                    "output": "lm_head.weight"}[base]
        tied &= name != "lm_head.weight"
        state[name] = torch.from_numpy(np.array(weight, dtype=np.float32))
    config = LlamaConfig(
        hidden_size=field("embedding_length"), intermediate_size=field("feed_forward_length"),
        num_hidden_layers=field("block_count"), num_attention_heads=heads, num_key_value_heads=groups,
        vocab_size=field("vocab_size"), max_position_embeddings=field("context_length"),
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"), tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": field("rope.freq_base")})
    model = LlamaForCausalLM(config)
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise RuntimeError(f"tensors do not match: missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    return model.to(dtype).eval()


def load_with_transformers(path=GGUF, dtype=torch.float32):
    """The same through transformers' own GGUF reader, to check the one above."""
    from transformers import AutoModelForCausalLM

    path = Path(path)
    return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=dtype).eval()


def tokenizer(path=GGUF):
    """The tokenizer of the GGUF file, built by transformers.

    transformers gives every GGUF vocabulary GPT-2's pre-tokeniser, whatever `tokenizer.ggml.pre` says. This file's is
    "smollm", which SmolLM2's own tokenizer.json spells as digits one by one, then GPT-2's."""
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    path = Path(path)
    result = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    kind = GGUFReader(path).fields["tokenizer.ggml.pre"].contents()
    if kind != "smollm":
        raise RuntimeError(f"{path}: pre-tokeniser {kind!r} is not known here")
    result.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return result


def encode(text, path=GGUF):
    """Token ids of a text without special tokens around it."""
    return tokenizer(path)(text, add_special_tokens=False, verbose=False)["input_ids"]


def perplexity(model, ids, windows, length=1024, progress=print):
    """Perplexity over non-overlapping windows, no BOS: tokens [i·length, (i+1)·length) each predict the next.

    Returns (perplexity, predicted tokens)."""
    count = min(windows, (len(ids) - 1) // length)
    total = 0.0
    for window in range(count):
        row = torch.tensor(ids[window * length : (window + 1) * length + 1])
        with torch.no_grad():
            logits = model(row[None, :-1], use_cache=False).logits[0]
        total += torch.nn.functional.cross_entropy(logits.float(), row[1:], reduction="sum").item()
        if (window + 1) % 25 == 0:
            progress(f"  {window + 1}/{count} windows, perplexity {math.exp(total / ((window + 1) * length)):.4f}")
    return math.exp(total / (count * length)), count * length
