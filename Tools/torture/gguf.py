"""A GGUF file of a tiny model in Hugging Face's format, and where its integer fields are."""

import json
import struct

UINT32, FLOAT32, BOOL, STRING, ARRAY, INT32 = 4, 6, 7, 8, 9, 5
NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
         "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
         "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
# A tensor's type in GGUF, by its type in safetensors.
TYPES = {"F32": 0, "F16": 1, "BF16": 30}


class Writer:
    """Appends fields and remembers where integers are: (offset, bytes)."""

    def __init__(self):
        self.data, self.integers = bytearray(), []

    def integer(self, value, width):
        self.integers.append((len(self.data), width))
        self.data += value.to_bytes(width, "little")

    def string(self, text):
        raw = text.encode()
        self.integer(len(raw), 8)
        self.data += raw

    def value(self, kind, value):
        if kind in (UINT32, INT32):
            self.integer(value, 4)
        elif kind == FLOAT32:
            self.data += struct.pack("<f", value)
        elif kind == BOOL:
            self.integer(int(value), 1)
        else:
            self.string(value)

    def pair(self, key, kind, value):
        self.string(key)
        if isinstance(value, list):
            self.integer(ARRAY, 4)
            self.integer(kind, 4)
            self.integer(len(value), 8)
            for element in value:
                self.value(kind, element)
        else:
            self.integer(kind, 4)
            self.value(kind, value)


def tensors(path):
    """(name, type, shape, bytes) of a safetensors file."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        yield name, entry["dtype"], entry["shape"], data[8 + size + begin:8 + size + end]


def name(of):
    stem, ending = of.rsplit(".", 1)
    parts = stem.split(".")
    if parts[1:2] == ["layers"]:
        return f"blk.{parts[2]}.{NAMES['.'.join(parts[3:])]}.{ending}"
    return f"{NAMES[stem]}.{ending}"


def write(folder, path, template):
    """Writes `folder`'s model as GGUF to `path`. Returns where its integers are."""
    configuration = json.loads((folder / "config.json").read_text())
    vocabulary = json.loads((folder / "tokenizer.json").read_text())
    tokens = dict(vocabulary["model"]["vocab"])
    tokens.update({token["content"]: token["id"] for token in vocabulary["added_tokens"]})
    words = [token for token, _ in sorted(tokens.items(), key=lambda pair: pair[1])]
    added = {token["content"] for token in vocabulary["added_tokens"]}
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in vocabulary["model"]["merges"]]
    pairs = [
        ("general.architecture", STRING, "llama"),
        ("llama.block_count", UINT32, configuration["num_hidden_layers"]),
        ("llama.context_length", UINT32, configuration["max_position_embeddings"]),
        ("llama.embedding_length", UINT32, configuration["hidden_size"]),
        ("llama.feed_forward_length", UINT32, configuration["intermediate_size"]),
        ("llama.attention.head_count", UINT32, configuration["num_attention_heads"]),
        ("llama.attention.head_count_kv", UINT32, configuration["num_key_value_heads"]),
        ("llama.attention.key_length", UINT32, configuration["head_dim"]),
        ("llama.attention.value_length", UINT32, configuration["head_dim"]),
        ("llama.rope.dimension_count", UINT32, configuration["head_dim"]),
        ("llama.rope.freq_base", FLOAT32, 10000.0),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT32, configuration["rms_norm_eps"]),
        ("llama.vocab_size", UINT32, configuration["vocab_size"]),
        ("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, "llama-bpe"),
        ("tokenizer.ggml.tokens", STRING, words),
        ("tokenizer.ggml.token_type", INT32, [3 if word in added else 1 for word in words]),
        ("tokenizer.ggml.merges", STRING, merges),
        ("tokenizer.ggml.bos_token_id", UINT32, configuration["bos_token_id"]),
        ("tokenizer.ggml.eos_token_id", UINT32, configuration["eos_token_id"]),
        ("tokenizer.ggml.add_bos_token", BOOL, False), ("tokenizer.chat_template", STRING, template),
    ]
    stored = list(tensors(folder / "model.safetensors"))
    writer = Writer()
    writer.data += b"GGUF"
    writer.integer(3, 4)
    writer.integer(len(stored), 8)
    writer.integer(len(pairs), 8)
    for pair in pairs:
        writer.pair(*pair)
    offset = 0
    for tensor, kind, shape, data in stored:
        writer.string(name(tensor))
        writer.integer(len(shape), 4)
        for extent in reversed(shape):
            writer.integer(extent, 8)
        writer.integer(TYPES[kind], 4)
        writer.integer(offset, 8)
        offset += len(data) + -len(data) % 32
    writer.data += bytes(-len(writer.data) % 32)
    for _, _, _, data in stored:
        writer.data += data + bytes(-len(data) % 32)
    path.write_bytes(writer.data)
    return writer.integers
