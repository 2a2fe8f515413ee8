"""The memory that large models take: a Llama-shaped model with random weights is converted, rounded and run, and the peak of each
command's own memory is sampled beside the peak with mapped files.

    python3 Benchmarks/memory.py MOULT TOKENIZER FOLDER 1B|7B

TOKENIZER is a folder with a tokenizer of at most 49,152 tokens, such as a converted SmolLM2. FOLDER gets 40 GB of files for 7B. Needs numpy."""

import json
import os
import shutil
import struct
import subprocess
import sys
import time

import numpy

VOCABULARY = 49152
# width, layers, heads, key/value heads, width of the MLP
SHAPES = {"1B": (2048, 16, 32, 8, 8192), "7B": (4096, 32, 32, 8, 14336)}
SHARD = 4_800_000_000


def tensors(width, layers, heads, shared, inner):
    keys = width // heads * shared
    yield "model.embed_tokens.weight", (VOCABULARY, width)
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name, shape in [
            ("input_layernorm", (width,)), ("self_attn.q_proj", (width, width)), ("self_attn.k_proj", (keys, width)),
            ("self_attn.v_proj", (keys, width)), ("self_attn.o_proj", (width, width)),
            ("post_attention_layernorm", (width,)), ("mlp.gate_proj", (inner, width)), ("mlp.up_proj", (inner, width)),
            ("mlp.down_proj", (width, inner)),
        ]:
            yield f"{prefix}{name}.weight", shape
    yield "model.norm.weight", (width,)
    yield "lm_head.weight", (VOCABULARY, width)


def size(shape):
    return 2 * int(numpy.prod(shape))


def write(folder, tokenizer, shape):
    os.makedirs(folder)
    for name in os.listdir(tokenizer):
        if "token" in name:
            shutil.copy(os.path.join(tokenizer, name), folder)
    width, layers, heads, shared, inner = shape
    json.dump(dict(
        architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=width, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=shared, intermediate_size=inner, vocab_size=VOCABULARY,
        max_position_embeddings=8192, rms_norm_eps=1e-5, rope_theta=500000.0, tie_word_embeddings=False,
        hidden_act="silu", torch_dtype="bfloat16", bos_token_id=1, eos_token_id=2,
    ), open(f"{folder}/config.json", "w"))
    shards, filled = [[]], 0
    for tensor in tensors(*shape):
        if filled + size(tensor[1]) > SHARD:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += size(tensor[1])
    random = numpy.random.default_rng(0)
    # bfloat16 is float32's upper half. One block of numbers, turned for each tensor, is random enough for memory.
    block = ((random.standard_normal(1 << 22).astype(numpy.float32) * 0.02).view(numpy.uint32) >> 16).astype(numpy.uint16)
    one, places = numpy.full(width, 0x3F80, numpy.uint16), {}
    for number, shard in enumerate(shards):
        file = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        header, offset = {}, 0
        for name, extents in shard:
            header[name] = dict(dtype="BF16", shape=extents, data_offsets=[offset, offset + size(extents)])
            offset += size(extents)
            places[name] = file
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(f"{folder}/{file}", "wb") as out:
            out.write(struct.pack("<Q", len(text)) + text)
            for _, extents in shard:
                left, turned = size(extents) // 2, numpy.roll(block, int(random.integers(1 << 22)))
                while left > 0:
                    out.write((one if len(extents) == 1 else turned[:left]).tobytes())
                    left -= len(one) if len(extents) == 1 else len(turned)
    json.dump(dict(metadata={}, weight_map=places), open(f"{folder}/model.safetensors.index.json", "w"))
    largest = max(size(extents) for _, extents in tensors(*shape))
    print(f"{sum(size(extents) for _, extents in tensors(*shape)) / 2e9:.2f}B parameters, largest tensor {largest / 1e6:.0f} MB")


def measure(*command):
    start, own, mapped = time.time(), 0, 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            fields = dict(line.split(":", 1) for line in open(f"/proc/{process.pid}/status"))
            own = max(own, int(fields["RssAnon"].split()[0]))
            mapped = max(mapped, int(fields["VmHWM"].split()[0]))
        except (OSError, KeyError, ValueError):
            pass
        time.sleep(0.02)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: ended with {process.returncode}")
    print(f"{command[1]:9} {os.path.basename(command[2]):8} own {own / 1e6:5.2f} GB, with mapped files {mapped / 1e6:5.2f} GB, "
          f"{time.time() - start:6.1f} s", flush=True)


def main():
    moult, tokenizer, folder, shape = sys.argv[1:]
    source, student = f"{folder}/source", f"{folder}/student"
    write(source, tokenizer, SHAPES[shape])
    measure(moult, "convert", source, "--output", student)
    for bits in ("8", "4"):
        measure(moult, "quantize", student, "--output", f"{folder}/q{bits}", "--bits", bits)
    for model in (student, f"{folder}/q8", f"{folder}/q4"):
        measure(moult, "generate", model, "-p", "A fjord is", "-n", "8", "--temp", "0")


main()
