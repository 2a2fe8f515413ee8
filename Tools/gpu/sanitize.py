#!/usr/bin/env python3
"""NVIDIA's compute-sanitizer over all that Moult does on a GPU, with small models of real head sizes.

    python3 Tools/gpu/sanitize.py [--moult .build/release/moult] [--tools memcheck,racecheck,initcheck,synccheck] [--output DIR]

memcheck finds accesses outside what was allocated, racecheck races in shared memory, initcheck reads of memory that nothing
has written, synccheck barriers that not all threads reach. Every tensor gets memory of its own
(MOULT_CUDA_CHECKED=1), so that memcheck sees an access past its end. Prints a table; exits with 1 where a tool reports
anything or a command fails. Needs Python alone, a card and its toolkit.
"""

import argparse
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "Tests" / "TrainingTests" / "Fixtures" / "teacher"
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
# The first step of a stage runs as it is, the second is recorded, the third replays.
COMMANDS = ("train", "perplexity", "generate", "recall", "bench")
STEPS = {"align": 3, "distil": 3, "finetune": 3}
# cuBLASLt's own kernels pass data by asynchronous copies whose barriers racecheck does not know, and do not run when they are
# left out: their races are read over.
FOREIGN = "nvjet"

# Layers' shapes: hidden width, MLP, query heads, key/value heads, head width. Odd MLP widths and uneven groups on purpose.
SHAPES = {
    "smollm2-135m": (576, 1536, 9, 3, 64),
    "llama-3.2-3b": (384, 1032, 3, 1, 128),
}
CONVERSIONS = {
    "window": ("--window", "24", "--slots", "64"),
    "slots": ("--window", "0", "--slots", "40"),
    "hybrid": ("--window", "16", "--slots", "16", "--keep-attention", "0"),
    "fla": ("--profile", "fla", "--window", "0", "--slots", "64"),
}


def bfloat16(value):
    return struct.unpack("<I", struct.pack("<f", value))[0] >> 16


def write_teacher(folder, shape, seed):
    """A two-layer Transformer of random weights with the fixture's tokenizer."""
    hidden, mlp, heads, groups, width = shape
    shutil.copytree(FIXTURE, folder)
    configuration = json.loads((folder / "config.json").read_text())
    configuration |= {"hidden_size": hidden, "intermediate_size": mlp, "num_attention_heads": heads,
                      "num_key_value_heads": groups, "head_dim": width, "max_position_embeddings": 2048}
    (folder / "config.json").write_text(json.dumps(configuration))
    tensors = {"model.embed_tokens.weight": (configuration["vocab_size"], hidden), "model.norm.weight": (hidden,)}
    for layer in range(configuration["num_hidden_layers"]):
        tensors |= {f"model.layers.{layer}.{name}.weight": extents for name, extents in {
            "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,),
            "self_attn.q_proj": (heads * width, hidden), "self_attn.k_proj": (groups * width, hidden),
            "self_attn.v_proj": (groups * width, hidden), "self_attn.o_proj": (hidden, heads * width),
            "mlp.gate_proj": (mlp, hidden), "mlp.up_proj": (mlp, hidden), "mlp.down_proj": (hidden, mlp)}.items()}
    generator, header, offset, parts = random.Random(seed), {}, 0, []
    # A few thousand different numbers, repeated: writing millions of them would take Python longer than the checks.
    numbers = struct.pack("<4099H", *(bfloat16(generator.gauss(0, 0.03)) for _ in range(4099)))
    ones = struct.pack("<H", bfloat16(1.0))
    for name, extents in tensors.items():
        count = 1
        for extent in extents:
            count *= extent
        size = 2 * count
        content = ones * count if len(extents) == 1 else (numbers * (size // len(numbers) + 1))[:size]
        header[name] = {"dtype": "BF16", "shape": extents, "data_offsets": (offset, offset + size)}
        offset += size
        parts.append(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def write_text(path, seed, words):
    generator = random.Random(seed)
    vocabulary = "the of and to in that was for with his they from a ship river stone over seven lights".split()
    path.write_text("\n\n".join(" ".join(generator.choices(vocabulary, k=40)) for _ in range(words // 40)))


def commands(work, teacher, name, text, held, tool):
    """(what, arguments): training through every stage, then all that a trained model does on a GPU."""
    length, rows = 160, 2
    stages = ",".join(f"{stage}={steps * rows * length}" for stage, steps in STEPS.items())
    student, run = work / name, work / f"{name}-{tool}-run"
    yield "train", ("train", student, "--teacher", teacher, "--data", text, "--validation", held, "--output", run,
                    "--stages", stages, "--length", length, "--device", "cuda")
    model = student
    yield "perplexity", ("perplexity", model, "--data", held, "--window", 100, "--limit", rows, "--device", "cuda")
    yield "generate", ("generate", model, "--prompt-file", held, "--max-tokens", 12, "--device", "cuda")
    yield "recall", ("evaluate", model, "--tasks", "recall", "--length", 256, "--limit", 1, "--device", "cuda")
    yield "bench", ("bench", model, "--prefill", 96, "--decode", 3, "--depth", 16, "--batch", "1,3", "--repeats", 1,
                    "--device", "cuda")


class Checks:
    def __init__(self, arguments):
        self.arguments = arguments
        self.work = Path(tempfile.mkdtemp(prefix="moult-sanitize-"))
        self.rows, self.start, self.read_over = [], time.monotonic(), 0
        self.environment = os.environ | {"MOULT_CUDA_CHECKED": "1", "MOULT_THREADS": "2"}

    def moult(self, *words, before=(), card=0):
        return subprocess.run(
            [*before, str(self.arguments.moult), *map(str, words)], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=self.arguments.timeout,
            env=self.environment | ({"CUDA_VISIBLE_DEVICES": str(card)} if self.arguments.cards > 1 else {}))

    def check(self, tool, name, what, words, card):
        started = time.monotonic()
        found, status, text = None, None, ""
        try:
            result = self.moult(*words, card=card, before=(
                "compute-sanitizer", "--tool", tool, "--print-limit", "100000" if tool == "racecheck" else "40"))
            status, text = result.returncode, result.stdout
            summary = re.search(r"(?:ERROR|RACECHECK) SUMMARY: (\d+)", text)
            found = int(summary[1]) if summary else None
            if tool == "racecheck" and summary and "Internal Sanitizer Error" not in text:
                places = re.findall(r"Race reported between \w+ access at (\S+)", text)
                found = sum(FOREIGN not in place for place in places)
                self.read_over += len(places) - found
        except subprocess.TimeoutExpired as late:
            text, status = str(late.stdout), "late"
        log = self.arguments.output / f"{tool}-{name}-{what}.log"
        log.write_text(text)
        clean = status == 0 and found == 0
        self.rows.append((tool, name, what, found, status, clean))
        print(f"[{time.monotonic() - self.start:5.0f} s] {tool:10} {name:22} {what:10} "
              f"{'clean' if clean else f'{found} reported, exit {status}: {log}'}  ({time.monotonic() - started:.0f} s)",
              flush=True)

    def run(self):
        text, held = self.work / "text.txt", self.work / "held.txt"
        write_text(text, 1, 12000)
        write_text(held, 2, 200)
        jobs = []
        for number, (shape, extents) in enumerate(SHAPES.items()):
            if shape not in self.arguments.shapes:
                continue
            teacher = self.work / shape
            write_teacher(teacher, extents, number)
            for conversion, options in CONVERSIONS.items():
                name = f"{shape}-{conversion}"
                result = self.moult("convert", teacher, "--output", self.work / name, *options)
                if result.returncode:
                    sys.exit(f"{name}: {result.stdout}")
                jobs += [(tool, name, what, words) for tool in self.arguments.tools
                         for what, words in commands(self.work, teacher, name, text, held, tool)
                         if what in self.arguments.commands]
        # Every card gets jobs by turns; the longest first.
        jobs.sort(key=lambda job: (job[2] != "train", job[0] != "racecheck"))
        with ThreadPoolExecutor(self.arguments.jobs * self.arguments.cards) as pool:
            for number, job in enumerate(jobs):
                pool.submit(self.check, *job, number % self.arguments.cards)
        shutil.rmtree(self.work)

    def table(self):
        print(f"\n{'tool':10} {'commands':>8} {'clean':>6} {'reports':>8}")
        for tool in self.arguments.tools:
            rows = [row for row in self.rows if row[0] == tool]
            print(f"{tool:10} {len(rows):8} {sum(row[5] for row in rows):6} {sum(row[3] or 0 for row in rows):8}")
        if self.read_over:
            print(f"{self.read_over} races within cuBLASLt's own kernels were read over")
        return all(row[5] for row in self.rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moult", type=Path, default=ROOT / ".build/release/moult")
    parser.add_argument("--tools", type=lambda text: text.split(","), default=list(TOOLS))
    parser.add_argument("--output", type=Path, default=ROOT / ".build/sanitize", help="a folder for the tools' logs")
    parser.add_argument("--timeout", type=float, default=300, help="seconds that a command may take")
    parser.add_argument("--commands", type=lambda text: text.split(","), default=list(COMMANDS))
    parser.add_argument("--shapes", type=lambda text: text.split(","), default=list(SHAPES))
    parser.add_argument("--jobs", type=int, default=4, help="commands at once on a card; a training takes 50 GB of the host's memory under racecheck")
    parser.add_argument("--cards", type=int, default=1, help="cards to use")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    checks = Checks(arguments)
    checks.run()
    sys.exit(0 if checks.table() else 1)


if __name__ == "__main__":
    main()
