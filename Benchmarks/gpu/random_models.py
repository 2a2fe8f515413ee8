"""Random models in Hugging Face's form at the shapes of known ones, with a tokenizer and text, for large.py."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from math import prod

import numpy

COMMON = {"hidden_act": "silu", "rms_norm_eps": 1e-5, "attention_bias": False, "mlp_bias": False, "dtype": "bfloat16"}
SHAPES = {
    "smollm2-135m": COMMON | {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64, "intermediate_size": 1536,
        "vocab_size": 49152, "tie_word_embeddings": True, "max_position_embeddings": 8192, "rope_theta": 100000.0,
        "bos_token_id": 1, "eos_token_id": 2,
    },
    "llama-1b": COMMON | {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 8192,
        "vocab_size": 128256, "tie_word_embeddings": True, "max_position_embeddings": 131072, "rope_theta": 500000.0,
        "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 8192},
        "bos_token_id": 128000, "eos_token_id": 128001,
    },
    "mistral-7b": COMMON | {
        "architectures": ["MistralForCausalLM"], "model_type": "mistral", "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 14336,
        "vocab_size": 32768, "tie_word_embeddings": False, "max_position_embeddings": 32768, "rope_theta": 1e6,
        "sliding_window": None, "bos_token_id": 1, "eos_token_id": 2,
    },
}
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "intermediate_size": 128, "vocab_size": 2048, "bos_token_id": 1, "eos_token_id": 2}


def tensors(config):
    """Names and shapes of the weights."""
    width, middle, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    queries, keys = (config["head_dim"] * config[f"num_{name}_heads"] for name in ("attention", "key_value"))
    yield "model.embed_tokens.weight", (vocabulary, width)
    for layer in range(config["num_hidden_layers"]):
        for name, *shape in [
            ("input_layernorm", width), ("self_attn.q_proj", queries, width), ("self_attn.k_proj", keys, width),
            ("self_attn.v_proj", keys, width), ("self_attn.o_proj", width, queries), ("post_attention_layernorm", width),
            ("mlp.gate_proj", middle, width), ("mlp.up_proj", middle, width), ("mlp.down_proj", width, middle),
        ]:
            yield f"model.layers.{layer}.{name}.weight", tuple(shape)
    yield "model.norm.weight", (width,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (vocabulary, width)


def write_weights(config, folder):
    """bfloat16 weights of normal(0, 0.02), norms 1, a file a layer: parts of one long list of random numbers, so that the
    disk alone is waited for. Returns their bytes."""
    bits = (numpy.random.default_rng(0).standard_normal((1 << 25) - 39, numpy.float32) * 0.02).view(numpy.uint32)
    pool = (bits + 0x7FFF + (bits >> 16 & 1) >> 16).astype("<u2")
    files = {}
    for name, shape in tensors(config):
        layer = name.split(".")[2] if ".layers." in name else "ends"
        files.setdefault(f"model-{layer}.safetensors", []).append((name, shape))

    def write(name):
        header, end = {"__metadata__": {"format": "pt"}}, 0
        for tensor, shape in files[name]:
            header[tensor] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end := end + 2 * prod(shape)]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with (folder / name).open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for tensor, shape in files[name]:
                count, at = prod(shape), random.Random(tensor).randrange(1 << 24)
                part = pool[at:] if len(shape) > 1 else numpy.full(count, 0x3F80, "<u2")
                for done in range(0, count, len(part)):
                    file.write(part[:count - done].data)
        return end

    with ThreadPoolExecutor(8) as threads:
        total = sum(threads.map(write, files))
    index = {"metadata": {"total_size": total}, "weight_map": {name: file for file in files for name, _ in files[file]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def write_tokenizer(config, folder):
    """A byte-level BPE whose words, of three letters and then of four, are a token each; returns them."""
    bos, eos = config["bos_token_id"], config["eos_token_id"]
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    vocabulary = [chr(byte if byte in printable else next(others)) for byte in range(256)]
    letters = "abcdefghijklmnopqrstuvwxyz"
    space, pairs = "Ġ", [(a, b) for a in letters for b in letters]
    threes = [(space + a, b + c) for a in letters for b, c in pairs]
    # The pair in the middle is joined before the one behind it, or the word would come apart.
    fours = [(a + pair, d) for a, pair in threes for d in letters if pair <= pair[1] + d]
    merges = [(space, a) for a in letters] + pairs + threes + fours
    merges = merges[:config["vocab_size"] - len(vocabulary) - 2]
    vocabulary += map("".join, merges)
    numbers = (number for number in range(config["vocab_size"]) if number not in (bos, eos))
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    document = {
        "added_tokens": [{"id": bos, "content": "<s>"} | special, {"id": eos, "content": "</s>"} | special],
        "pre_tokenizer": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "vocab": dict(zip(vocabulary, numbers)), "merges": [" ".join(merge) for merge in merges]},
    }
    (folder / "tokenizer.json").write_text(json.dumps(document, ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    return [word for word in vocabulary if word.startswith(space) and len(word) > 3]


def make(config, folder, count=1_000_000):
    """A Hugging Face folder of random weights with text.txt, `count` words that are as common as words are (Zipf)."""
    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    words, draw = write_tokenizer(config, folder), random.Random(0)
    chosen = [words[int(len(words) ** draw.random()) - 1].replace("Ġ", " ") for _ in range(count)]
    (folder / "text.txt").write_text("\n".join("".join(chosen[at:at + 500]) for at in range(0, count, 500)))
    size = write_weights(config, folder)
    (folder / "config.json").write_text(json.dumps(config, indent=2))  # the last: who finds it finds the rest
    print(f"made {folder.name}: {size / 1e9:.1f} GB in {time.perf_counter() - start:.1f} s", flush=True)
