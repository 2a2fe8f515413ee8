#!/usr/bin/env python3
"""Proves that models travel between Moult and flash-linear-attention, both ways, with the same logits.

    .venv/bin/python Tools/oracles/fla_roundtrip.py

There: `moult convert --profile fla` of the teacher, loaded by flash-linear-attention.
Back: random models of its, saved by their own save_pretrained, loaded by Moult.
flash-linear-attention runs on the CPU with its naive kernels (fla_cpu.py).
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import fla_cpu
import moult
import teacher
import torch

TOLERANCE = 1e-3


def compare(name, folder, model, tokens):
    """The largest difference of the logits, relative to their largest magnitude."""
    expected = fla_cpu.logits(model, tokens)
    ours = moult.logits(folder, tokens)
    relative = ((ours - expected).abs().max() / expected.abs().max()).item()
    print(f"{name}: relative difference {relative:.2e} over {tokens.numel()} tokens (allowed {TOLERANCE:.0e})")
    return relative <= TOLERANCE


def there(work, mixer):
    folder = work / f"there-{mixer}"
    moult.run("convert", teacher.GGUF, "--output", folder, "--profile", "fla", "--mixer", mixer, "--dtype", "f32")
    ids = teacher.encode((moult.ROOT / ".data" / "encyclopedia_valid.txt").read_text()[:4000])
    return compare(f"moult convert --profile fla --mixer {mixer}, in flash-linear-attention", folder, fla_cpu.causal_lm(folder),
                   torch.tensor(ids[:192]).reshape(2, 96))


def back(work, name, **config):
    folder = work / name
    model = fla_cpu.causal_lm(**dict(hidden_size=64, num_hidden_layers=3, vocab_size=500, intermediate_size=96) | config)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            scale = 0.2 if "norm" in key else 1.5 / parameter.shape[-1] ** 0.5
            parameter.copy_(("norm" in key) + scale * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    tokens = torch.randint(0, 500, (2, 150))
    return compare(f"save_pretrained ({name}), in moult", folder, fla_cpu.causal_lm(folder), tokens)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="a folder in which the models stay")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    work = arguments.keep or Path(tempfile.mkdtemp(prefix="moult-fla-"))
    try:
        results = [
            back(work, "grouped", num_heads=4, num_kv_heads=2, num_slots=16),
            back(work, "tied", num_heads=4, num_kv_heads=4, num_slots=24, tie_word_embeddings=True),
            back(work, "hybrid", num_heads=4, num_kv_heads=2, num_slots=8, attn={
                "layers": [0], "num_heads": 4, "num_kv_heads": 2, "window_size": 32, "rope_theta": 10000.0}),
            back(work, "retnet", model_type="retnet", num_heads=4),
            back(work, "gla", model_type="gla", num_heads=4, num_kv_heads=2, use_short_conv=True),
            back(work, "gated_deltanet", model_type="gated_deltanet", num_heads=2, num_v_heads=4, head_dim=16),
            back(work, "kda", model_type="kda", num_heads=4, head_dim=16),
            back(work, "mamba2", model_type="mamba2", head_dim=16, n_groups=2),
            back(work, "hgrn2", model_type="hgrn2", expand_ratio=16),
            *(there(work, mixer) for mixer in ("gsa", "gla", "retention")),
        ]
    finally:
        if not arguments.keep:
            shutil.rmtree(work, ignore_errors=True)
    if not all(results):
        raise SystemExit("the logits differ")
    print("models travel both ways")


if __name__ == "__main__":
    main()
