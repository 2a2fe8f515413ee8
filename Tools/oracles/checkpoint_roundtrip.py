"""Compares a folder that Moult wrote with the GGUF file that it was made from.

    .venv/bin/python Tools/oracles/checkpoint_roundtrip.py FOLDER MODEL.gguf

Reads the folder with Hugging Face's safetensors and the file with llama.cpp's gguf package, and asks for the same bits
in every tensor that both have: float32 as gguf dequantises it, other types as torch rounds that. The rows of q and k of
the "llama" architecture are put back into Hugging Face's order.
"""

import json
import sys
from pathlib import Path

import gguf
import torch
from safetensors import safe_open

INTERLEAVED = {"q_proj": "llama.attention.head_count", "k_proj": "llama.attention.head_count_kv"}


def shards(folder):
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return [folder / "model.safetensors"]
    names = json.loads(index.read_text())["weight_map"].values()
    return [folder / name for name in sorted(set(names))]


def main(folder, path):
    reader = gguf.GGUFReader(path)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    layers = reader.fields["llama.block_count"].contents()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    same, different, other = 0, [], 0
    for shard in shards(Path(folder)):
        with safe_open(shard, "pt") as file:
            for name in file.keys():
                source = stored.get(names.get_name(name, (".weight", ".bias")))
                if source is None:
                    other += 1
                    continue
                expected = torch.from_numpy(gguf.quants.dequantize(source.data, source.tensor_type).copy())
                for part, key in INTERLEAVED.items():
                    if part in name:
                        heads, shape = reader.fields[key].contents(), expected.shape
                        expected = expected.reshape(heads, shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(shape)
                found = file.get_tensor(name)
                bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[found.element_size()]
                if torch.equal(expected.to(found.dtype).view(bits), found.view(bits)):
                    same += 1
                else:
                    different.append(name)
    print(f"{same} tensors have the same bits, {len(different)} differ, {other} are only in {folder}")
    if different or not same:
        sys.exit("\n".join(different) or "nothing to compare")


if __name__ == "__main__":
    main(*sys.argv[1:])
