#!/usr/bin/env python3
"""Speed and memory of `moult train` at the shapes that people convert, on one to four GPUs of one host.

    python3 Benchmarks/gpu/large.py --run [--cards N] [--only REGEX] [--work FOLDER] [--output FILE.json]   # --list: the cases' names
    python3 Benchmarks/gpu/large.py --make mistral-7b FOLDER                                    # a random model and text
    MOULT=.build/debug/moult python3 Benchmarks/gpu/large.py --smoke                            # tiny ones, on the processor

The environment variable MOULT names the executable; Python needs numpy. Models are random, and each word of their text is a
token (random_models.py). They are made and converted once, and stay in --work (34 GB for both shapes). A run has --steps
updates of one stage and is killed once metrics.jsonl says that the stage has ended, before it writes a checkpoint and a
student. A case that fails says why, and the next begins; none begins once --seconds are over.

Tokens per second are of all GPUs together, the median of the steps from the third on; x is their ratio to the same case on one
GPU, with as many rows a GPU. Bytes are of the fullest card: as the plan foretold, the allocator's peak, and nvidia-smi's. The
share of the peak (989 TFLOP/s a card: bfloat16 without sparsity, H100 and H200 SXM) counts products with weights, neither
attention's own nor what is computed again: 2 operations a weight and token forwards, 2 for the gradient of what goes in, 2 for
the weight's own.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path

from random_models import SHAPES, TINY, make, tensors

ROOT = Path(__file__).resolve().parents[2]
EXECUTABLE = os.environ.get("MOULT", ROOT / ".build" / "release" / "moult")
PEAK = 989e12
@dataclass(frozen=True)
class Case:
    shape: str
    stage: str
    gpus: int
    rows: int  # of a batch, a GPU
    length: int = 2048
    accumulation: int = 1
    lora: int = 0  # the adapters' rank
    options: str = ""

    @property
    def kind(self):
        """What a case has in common with the one on one GPU that it is compared with."""
        lora = f", LoRA {self.lora}" if self.lora else ""
        return f"{self.shape}, {self.stage}{lora}" + self.options.replace("--", ", ", 1).replace("--", "")

    @property
    def batch(self):
        return f"{self.rows * self.gpus} × {self.length}" + f" × {self.accumulation}" * (self.accumulation > 1)

    def __str__(self):
        return f"{self.kind} | {self.gpus} | {self.batch}"


def cards(shape, rows, length):
    """A stage on one, two and four GPUs with as many rows a GPU, and with as many in all, whose losses are to be the same."""
    return [Case(shape, "distil", gpus, rows, length) for gpus in (1, 2, 4)] + [
        Case(shape, "distil", gpus, rows // gpus, length) for gpus in (2, 4)]


HOST = "--optimizer-memory host --teacher-memory host"
CASES = cards("smollm2-135m", 32, 1024) + [
    Case("llama-1b", "align", 1, 8), Case("llama-1b", "align", 4, 8), Case("llama-1b", "distil", 1, 8),
    Case("llama-1b", "distil", 2, 8), Case("llama-1b", "distil", 4, 8),
    Case("mistral-7b", "align", 1, 4), Case("mistral-7b", "align", 4, 4), Case("mistral-7b", "distil", 4, 4),
    Case("mistral-7b", "distil", 1, 4, accumulation=4, options=HOST), Case("mistral-7b", "finetune", 1, 4, lora=16),
    Case("mistral-7b", "finetune", 4, 4, lora=16), Case("llama-1b", "finetune", 1, 8, lora=16),
]
SMOKE = [replace(case, gpus=min(case.gpus, 2), rows=1, length=64, lora=case.lora // 4) for case in CASES[:3] + CASES[5:]]
SMOKE.append(Case("llama-1b", "finetune", 1, 1, 64, lora=4096))  # is refused


def convert(source, folder):
    """Reads and writes all of the model, 14.5 GB of Mistral: as long as the disk takes, or where pages stay in memory some
    seconds. (A virtual machine whose memory grows as it is touched was seen to take 3 s for each 8 GB of it.)"""
    start = time.perf_counter()
    code = subprocess.run([EXECUTABLE, "convert", source, "--output", folder], stdout=subprocess.DEVNULL).returncode
    print(f"{'not ' if code else ''}converted {source.name}: {time.perf_counter() - start:.1f} s", flush=True)
    return code == 0


def card_memory():
    """Bytes in use of each card; none where there is no GPU."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.split()
    except FileNotFoundError:
        return []
    return [int(line) << 20 for line in lines if line.isdigit()]


def end(process):
    """Kills a run, or its ranks, which it waits for."""
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == process.pid:
                children.append(int(path.parent.name))
        except OSError:
            pass  # it has ended meanwhile
    for identifier in (children or [process.pid]) if process.poll() is None else []:
        os.kill(identifier, signal.SIGKILL)
    process.wait()


def events(path):
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]  # the last may be cut


def train(case, work, steps, seconds, device):
    """Runs a case: its metrics' events, the bytes of the fullest card, seconds, and what went wrong."""
    source, place, rows = work / case.shape, work / "run", case.rows * case.gpus
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    config = {
        "length": case.length, "validation": {"every": 1 << 30}, "checkpoints": {"every": 1 << 30},
        "data": {"train": [str(source / "text.txt")], "validation_share": 0, "cache": str(work / f"{case.shape}-tokens")},
        "stages": [{"stage": case.stage, "tokens": steps * rows * case.length * case.accumulation, "sequences": rows,
                    "accumulation": case.accumulation} | ({"lora_rank": case.lora} if case.lora else {})],
    }
    (place / "run.yaml").write_text(json.dumps(config))  # JSON is YAML
    command = [EXECUTABLE, "train", work / f"{case.shape}-student", "--config", place / "run.yaml", "--output",
               place / "run", "--device", device, *case.options.split()]
    command += ["--teacher", source] if case.stage != "finetune" else []
    command += ["--gpus" if device == "cuda" else "--ranks", case.gpus] if case.gpus > 1 else []
    start, found, first, held, fault = time.perf_counter(), {}, None, None, None
    with (place / "errors").open("w") as errors:
        process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=errors)
    try:
        while process.poll() is None and "stage_end" not in found:
            if (seconds_so_far := time.perf_counter() - start) > seconds:
                fault = f"not finished in {seconds:.0f} s"
                break
            held = max([held or 0, *card_memory()[:case.gpus]]) or None
            time.sleep(0.2)
            found = {event["event"] for event in events(place / "run" / "metrics.jsonl")}
            first = first or ("step" in found and seconds_so_far) or None
    finally:
        end(process)
    found = events(place / "run" / "metrics.jsonl")
    if not fault and not any(event["event"] == "stage_end" for event in found):
        fault = ([f"exit code {process.returncode}"] + (place / "errors").read_text().strip().splitlines())[-1]
    shutil.rmtree(place)
    return {"events": found, "smi_bytes": held, "first_step_seconds": first, "fault": fault,
            "seconds": time.perf_counter() - start}


def operations(case, config, start):
    """Of a token: twice the weights that are multiplied with, forwards and for each of the two kinds of gradients."""
    head = config["vocab_size"] * config["hidden_size"]
    table = 0 if config["tie_word_embeddings"] else head
    teacher = sum(prod(shape) for _, shape in tensors(config)) - table
    student, trained = start["parameters"] - table, start["trained_parameters"]
    if case.stage == "align":
        return 2 * (teacher - head) + 6 * trained
    return 2 * teacher * (case.stage == "distil") + (4 * student + 6 * trained if case.lora else 6 * student)


def summary(case, config, result, earlier):
    """The figures of a case, None for those that are missing."""
    last = {event["event"]: event for event in result["events"]}
    steps = [event for event in result["events"] if event["event"] == "step"]
    speed = statistics.median(event["tokens_per_second"] for event in steps[2:]) if steps[2:] else None
    alone = [it["tokens_per_second"] for it in earlier if it["kind"] == case.kind and it["gpus"] == 1]
    share = speed * operations(case, config, last["start"]) / case.gpus / PEAK if speed else None
    return asdict(case) | {key: value for key, value in result.items() if key != "events"} | {
        "kind": case.kind, "tokens_per_second": speed, "ratio": speed / alone[0] if speed and any(alone) else None,
        "share": share, "plan": last.get("plan", {}), "device_bytes": steps[-1].get("device_bytes") if steps else None,
        "losses": [event["loss"] for event in steps], "steps": len(steps)}


HEADER = """| | GPUs | rows × length (× batches) | tokens/s | x | plan: tokens/s | plan: GB a card | allocator | nvidia-smi \
| plan: layers again | of the peak | s to a step | s |\n""" + "|---" * 13 + "|"


def line(case, it):
    """A row of the table."""
    plan, measured = it["plan"], it["device_bytes"]
    figures = [
        (it["tokens_per_second"], ",.0f"), (it["ratio"], ".2f"), (plan.get("tokens_per_second"), ",.0f"),
        *((value and value / 1e9, ".1f") for value in (plan.get("device_bytes"), measured, it["smi_bytes"])),
        (plan.get("recomputed_layers"), "d"), (it["share"], ".1%"), (it["first_step_seconds"], ".0f"), (it["seconds"], ".0f")]
    return f"| {case} | " + " | ".join("–" if value is None else format(value, form) for value, form in figures) + " |"


def run(cases, shapes, work, arguments, device):
    began, lines, results = time.perf_counter(), [HEADER], []
    for case in cases:
        source, student = work / case.shape, work / f"{case.shape}-student"
        if not (source / "config.json").exists():
            make(shapes[case.shape], source)
        if not student.exists() and not convert(source, student):
            continue
        left = arguments.seconds - (time.perf_counter() - began)
        if left < 20:
            print(f"{case}: left out, for {arguments.seconds:.0f} s are over", flush=True)
            continue
        result = train(case, work, arguments.steps, min(arguments.timeout, left), device)
        results.append(summary(case, shapes[case.shape], result, results))
        lines.append(line(case, results[-1]))
        print(lines[-1], *filter(None, [result["fault"]]), flush=True)
        if arguments.output:
            arguments.output.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\n{time.perf_counter() - began:.0f} s in all\n", *lines, sep="\n")
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--make", nargs=2, metavar=("SHAPE", "DIR"), help=f"a random model: {', '.join(SHAPES)}")
    for name, words in (("run", "the cases"), ("list", "their names"), ("smoke", "tiny models on the processor")):
        what.add_argument(f"--{name}", action="store_true", help=words)
    parser.add_argument("--only", default="", metavar="REGEX", help="the cases in whose names it is found")
    parser.add_argument("--cards", type=int, default=4, help="GPUs that there are; cases of more have as many (default: 4)")
    parser.add_argument("--steps", type=int, default=6, help="updates of a case (default: 6)")
    parser.add_argument("--timeout", type=float, default=120, help="seconds of a case at most (default: 120)")
    parser.add_argument("--seconds", type=float, default=540, help="seconds of it all (default: 540)")
    parser.add_argument("--work", type=Path, help="a folder for models (default: in /dev/shm if it has room, or .demo/large)")
    parser.add_argument("--output", type=Path, help="a JSON file for every figure")
    arguments = parser.parse_args()
    if arguments.make:
        return make(SHAPES[arguments.make[0]], Path(arguments.make[1]))
    shapes = {name: config | TINY for name, config in SHAPES.items()} if arguments.smoke else SHAPES
    cases = [case for case in (SMOKE if arguments.smoke else CASES) if re.search(arguments.only, str(case))]
    # Each once, in their order.
    cases = list(dict.fromkeys(replace(case, gpus=min(case.gpus, arguments.cards)) for case in cases))
    if not arguments.list and not Path(EXECUTABLE).exists():
        parser.error(f"{EXECUTABLE}: there is none; MOULT names the executable")
    if arguments.list:
        return print(*cases, sep="\n")
    # Sources and students.
    needed = sum(4.1 * prod(shape) for name in {case.shape for case in cases} for _, shape in tensors(shapes[name]))
    has_room = shutil.disk_usage("/dev/shm").free > needed
    work = arguments.work or (Path("/dev/shm/moult-large") if has_room else ROOT / ".demo" / "large")
    if arguments.smoke:
        work = work / "smoke"
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    print(f"models in {work}, {needed / 1e9:.0f} GB", flush=True)
    results = run(cases, shapes, work, arguments, "cpu" if arguments.smoke else "cuda")
    if arguments.smoke:
        shutil.rmtree(work)
        bad = [it for it in results if (it["fault"] is None) != (it["lora"] < 64) or not it["fault"] and it["steps"] < 3]
        raise SystemExit(f"{len(bad)} of {len(results)} cases went otherwise than expected" if bad else 0)


if __name__ == "__main__":
    main()
