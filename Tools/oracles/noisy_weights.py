"""Copies a model folder with noise on the matrices of its layers: a stress case for quantisation.

SmolLM2 as `make fetch` gets it comes from a Q4_1 file, so that its weights lie on a grid of 16 values for every 32 inputs
and 4 bits lose next to nothing. Gaussian noise of a share of each group's step takes them off that grid.

    .venv/bin/python Tools/oracles/noisy_weights.py SOURCE OUTPUT [--share 0.3]
"""

import argparse
import pathlib
import shutil

import torch
from safetensors.torch import load_file, save_file

parser = argparse.ArgumentParser()
parser.add_argument("source", type=pathlib.Path)
parser.add_argument("output", type=pathlib.Path)
parser.add_argument("--share", type=float, default=0.3, help="standard deviation, in steps of a group's 16 values")
arguments = parser.parse_args()

weights = "model.safetensors"
shutil.copytree(arguments.source, arguments.output, ignore=shutil.ignore_patterns(weights))
tensors = load_file(arguments.source / weights)
generator = torch.Generator().manual_seed(0)
for name, tensor in tensors.items():
    if ".layers." in name and tensor.dim() == 2 and tensor.shape[1] % 32 == 0:
        groups = tensor.float().reshape(tensor.shape[0], -1, 32)
        step = (groups.amax(-1, keepdim=True) - groups.amin(-1, keepdim=True)) / 15
        noise = torch.randn(groups.shape, generator=generator)
        tensors[name] = (groups + arguments.share * step * noise).reshape(tensor.shape).to(tensor.dtype).contiguous()
save_file(tensors, arguments.output / weights, metadata={"format": "pt"})
