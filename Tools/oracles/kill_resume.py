#!/usr/bin/env python3
"""Kills `moult train` at random moments and checks that nothing is lost.

A tiny model is trained over all stages, once without a stop and once with `kill -9` at random moments, each followed by
`--resume`. After every kill each checkpoint that has its name must be whole, and at the end student/ and best/ of both
runs must be equal byte for byte.

    swift build -c release --product moult
    .venv/bin/python Tools/oracles/kill_resume.py --kills 30 --seed 0
"""

import argparse
import json
import random
import subprocess
import tempfile
import time
from pathlib import Path

import moult
from safetensors import safe_open

SETTINGS = """
length: 16
checkpoints: {every: 5, keep: 2}
validation: {every: 20, rows: 4}
stages:
  - {stage: align, tokens: 19200, sequences: 1, accumulation: 2, warm_up_steps: 5}
  - {stage: distil, tokens: 19200, sequences: 1, accumulation: 2, warm_up_steps: 5}
  - {stage: finetune, tokens: 19200, sequences: 1, accumulation: 2, warm_up_steps: 5}
"""


def check_checkpoints(run):
    """Every checkpoint under its final name can be read to its last byte."""
    folders = sorted((run / "checkpoints").glob("step-*")) if run.exists() else []
    for folder in folders:
        state = json.loads((folder / "state.json").read_text())["state"]
        if folder.name != f"step-{state['step']:08}":
            raise SystemExit(f"{folder}: state.json is of step {state['step']}")
        with safe_open(folder / "model.safetensors", "pt") as tensors:
            names = set(tensors.keys())
            for name in names:
                if not tensors.get_tensor(name).isfinite().all():
                    raise SystemExit(f"{folder}: {name} is not finite")
        if state["stage_step"] > 0 and len({name.split(".")[0] for name in names}) != 3:
            raise SystemExit(f"{folder}: expected parameters and two means of each")
    return [folder.name for folder in folders]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        teacher, model = moult.ROOT / "Tests" / "TrainingTests" / "Fixtures" / "teacher", place / "model"
        moult.run("convert", teacher, "--output", model, "--slots", 4, "--window", 4)
        (place / "text.txt").write_text("".join(f"The fox {i * i % 97} jumps over the dog.\n" for i in range(400)))
        (place / "run.yaml").write_text(SETTINGS)
        start = ["train", model, "--teacher", teacher, "--data", place / "text.txt", "--config", place / "run.yaml"]
        began = time.monotonic()
        moult.run(*start, "--output", place / "whole")
        duration = time.monotonic() - began
        run = place / "killed"
        kills = 0
        while kills < options.kills:
            arguments = ["train", "--resume"] if (run / "config.yaml").exists() else start
            process = subprocess.Popen(
                [moult.EXECUTABLE, *map(str, arguments), "--output", run], stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, text=True)
            # Short enough that the run is not over long before the last kill.
            try:
                _, error = process.communicate(timeout=generator.uniform(0, 1.5 * duration / options.kills))
                if process.returncode != 0:
                    raise SystemExit(f"moult failed: {error}")
                print("complete before the last kill")
                break
            except subprocess.TimeoutExpired:
                process.kill()
                error = process.communicate()[1]
            if "warning" in error:
                raise SystemExit(f"a checkpoint was damaged: {error}")
            kills += 1
            print(f"kill {kills}: {', '.join(check_checkpoints(run)) or 'nothing saved yet'}", flush=True)
        if (run / "config.yaml").exists():
            moult.run("train", "--resume", "--output", run)
        else:
            moult.run(*start, "--output", run)
        for name in ["student", "best"]:
            one, other = (path / name / "model.safetensors" for path in (place / "whole", run))
            if one.read_bytes() != other.read_bytes():
                raise SystemExit(f"{name}/ differs from that of the run without a stop")
        print(f"{kills} kills: student/ and best/ are those of the run without a stop, bit for bit")


if __name__ == "__main__":
    main()
