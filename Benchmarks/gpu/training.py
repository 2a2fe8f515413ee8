#!/usr/bin/env python3
"""Speed of `moult train --device cuda` beside a PyTorch peer with flash-linear-attention (peer.py), on an NVIDIA GPU.

    python3 Benchmarks/gpu/training.py SOURCE --data TEXT [--stages finetune,distil] [--steps 20] [--output FILE.json]

SOURCE is a Llama with tied embeddings, a Hugging Face folder or a .gguf file; the environment variable MOULT names the
executable. Correctness comes first: on the same row, loss and gradient norm of the first step must agree. Then each side
trains in a process of its own, which is stopped after --seconds. docs/benchmarks.md says what each figure means.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import cached_property
from pathlib import Path

import numpy
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
EXECUTABLE = os.environ.get("MOULT", ROOT / ".build" / "release" / "moult")
WARM_UP = 3


def records(command, metrics, output, seconds):
    """The step records that a command writes to `metrics`, one a line, and the seconds to the first; it is stopped after
    `seconds`. `output` gets what it prints."""
    start, first = time.perf_counter(), None
    errors = output.with_suffix(".errors")
    with output.open("w") as out, errors.open("w") as err:
        process = subprocess.Popen([*map(str, command)], stdout=out, stderr=err)
        while process.poll() is None and time.perf_counter() - start < seconds:
            if first is None and metrics.exists() and '"loss"' in metrics.read_text():
                first = time.perf_counter() - start
            time.sleep(0.05)
        if process.poll() is None:
            process.kill()
            process.wait()
        elif process.returncode:
            raise SystemExit(f"{command[0]} failed:\n{errors.read_text()[-4000:]}")
    text = metrics.read_text() if metrics.exists() else ""
    lines = map(json.loads, text[:text.rfind("\n") + 1].splitlines())  # the last may be cut
    return [record for record in lines if record.get("event", "step") == "step"], first


class Run:
    """What both sides train on."""

    def __init__(self, work, source, sequences, length, seconds, configurations):
        self.work, self.source, self.sequences, self.length = work, source, sequences, length
        self.seconds, self.configurations = seconds, configurations
        self.student = self.converted("student", "--window", 64)
        layers = json.loads((self.student / "config.json").read_text())["num_hidden_layers"]
        # The teacher as a folder that peer.py reads.
        self.teacher = self.converted("teacher", "--keep-attention", ",".join(map(str, range(layers))))

    def converted(self, name, *options):
        folder = self.work / name
        if not folder.exists():
            command = [EXECUTABLE, "convert", self.source, "--output", folder, *options]
            subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL)
        return folder

    @cached_property
    def tokenizer(self):
        return Tokenizer.from_file(str(self.student / "tokenizer.json"))

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def moult(self, stage, text, steps, sequences):
        with tempfile.TemporaryDirectory(dir=self.work) as place:
            place = Path(place)
            (place / "text.txt").write_text(text)
            config = {
                "length": self.length, "data": {"train": [str(place / "text.txt")], "validation_share": 0},
                "validation": {"every": 1 << 30}, "checkpoints": {"every": 1 << 30},
                "stages": [{"stage": stage, "tokens": steps * sequences * self.length, "sequences": sequences}],
            }
            (place / "run.yaml").write_text(json.dumps(config))  # JSON is YAML
            command = [EXECUTABLE, "train", self.student, "--config", place / "run.yaml", "--output", place / "run",
                       "--device", "cuda", *(["--teacher", self.source] if stage == "distil" else [])]
            return records(command, place / "run" / "metrics.jsonl", place / "moult.txt", self.seconds)

    def peer(self, stage, text, steps, sequences):
        with tempfile.TemporaryDirectory(dir=self.work) as place:
            place = Path(place)
            numpy.save(place / "tokens.npy", numpy.array(self.encode(text), dtype=numpy.int32))
            command = [sys.executable, Path(__file__).with_name("peer.py"), stage, self.student, self.teacher,
                       place / "tokens.npy", sequences, self.length, steps, self.configurations]
            return records(command, place / "peer.jsonl", place / "peer.jsonl", self.seconds)


def check(run, stage, text):
    """Stops unless both sides' first step on one row agrees."""
    ids = run.encode(text[:16 * run.length])[:run.length + 100]
    # One row and a few tokens more: whatever the order of rows, the first step sees this one.
    short = run.tokenizer.decode(ids)
    first = {}
    for name, side in (("Moult", run.moult), ("peer", run.peer)):
        steps, _ = side(stage, short, 1, 1)
        if not steps:
            return print(f"{stage}: {name} did not finish a step in {run.seconds} s", flush=True)
        first[name] = steps[0]
        print(f"{stage}, first step, {name}: loss {steps[0]['loss']:.4f}, "
              f"gradient norm {steps[0]['gradient_norm']:.3f}", flush=True)
    ours, other = first["Moult"], first["peer"]
    if abs(ours["loss"] / other["loss"] - 1) > 0.02 or abs(ours["gradient_norm"] / other["gradient_norm"] - 1) > 0.1:
        raise SystemExit("the sides do not compute the same: nothing is timed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="a text file of some million characters")
    parser.add_argument("--stages", default="finetune,distil")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sequences", type=int, default=32)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--seconds", type=int, default=240, help="time for a run of either side (default: 240)")
    parser.add_argument("--fla-configs", type=int, default=4, help="configurations of a kernel of the peer (default: 4)")
    parser.add_argument("--no-peer", action="store_true", help="Moult alone, without the check")
    parser.add_argument("--work", type=Path, default=ROOT / ".demo" / "gpu", help="a folder for models")
    parser.add_argument("--output", type=Path, help="a JSON file for every figure")
    arguments = parser.parse_args()

    arguments.work.mkdir(parents=True, exist_ok=True)
    text = arguments.data.read_text()
    run = Run(arguments.work, arguments.source, arguments.sequences, arguments.length, arguments.seconds,
              arguments.fla_configs)
    sides = {"Moult": run.moult} | ({} if arguments.no_peer else {"PyTorch, flash-linear-attention": run.peer})
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    card = subprocess.run(query, stdout=subprocess.PIPE, text=True).stdout.strip()
    results = []
    for stage in arguments.stages.split(","):
        if not arguments.no_peer:
            check(run, stage, text)
        for name, side in sides.items():
            steps, first = side(stage, text, arguments.steps, arguments.sequences)
            speeds = [step["tokens_per_second"] for step in steps[WARM_UP:]]
            speed = statistics.median(speeds) if speeds else None
            results.append({"stage": stage, "side": name, "steps": len(steps), "tokens_per_second": speed,
                            "first_step_seconds": first})
            print(f"{stage}, {name}: {len(steps)} steps", flush=True)
            if arguments.output:
                document = {"card": card, "sequences": run.sequences, "length": run.length, "results": results}
                arguments.output.write_text(json.dumps(document, indent=2) + "\n")

    print(f"\n{card}, {run.sequences} × {run.length} tokens a step\n\n| | tok/s | first step after |\n|---|---|---|")
    for result in results:
        speed = f"{result['tokens_per_second']:.0f}" if result["tokens_per_second"] else "not finished"
        first = f"{result['first_step_seconds']:.1f} s" if result["first_step_seconds"] else ""
        print(f"| {result['stage']}, {result['side']} | {speed} | {first} |")


if __name__ == "__main__":
    main()
