#!/usr/bin/env python3
"""Speed of Moult beside Hugging Face transformers, on SmolLM2-135M in bfloat16, on the same threads.

    .venv/bin/python Benchmarks/transformers_vs_moult.py [--rounds 5] [--threads 2] [--output FILE.json]

Both sides are checked before anything is timed. Runs alternate, so that both see the same machine; figures are medians.
Prefill: one sequence of 1024 tokens, logits of its last token only. Decode: 64 tokens, one at a time, after 16.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tools" / "oracles"))

import moult  # noqa: E402
import teacher  # noqa: E402

PREFILL, DECODE, SHALLOW, DEEP = 1024, 64, 16, 32768


def text_ids(count):
    return teacher.encode((ROOT / ".data" / "encyclopedia_valid.txt").read_text()[: 8 * count])[:count]


def prefill_speed(model, ids):
    row = torch.tensor(ids[:PREFILL])[None]
    with torch.no_grad():
        start = time.perf_counter()
        model(row, use_cache=True, logits_to_keep=1)
        return PREFILL / (time.perf_counter() - start)


def decode_speed(model, ids):
    with torch.no_grad():
        output = model(torch.tensor(ids[:SHALLOW])[None], use_cache=True, logits_to_keep=1)
        start = time.perf_counter()
        for _ in range(DECODE):
            token = output.logits[:, -1].argmax(-1, keepdim=True)
            output = model(token, past_key_values=output.past_key_values, use_cache=True)
        return DECODE / (time.perf_counter() - start)


def moult_speeds(model, threads, depths):
    """{"prefill": tok/s, depth: tok/s, ...}"""
    result = moult.run_json("bench", model, "--prefill", PREFILL, "--decode", DECODE,
                            "--depth", ",".join(map(str, depths)), environment={"MOULT_THREADS": str(threads)})
    speeds = {"prefill": result["prefill"]["tokens_per_second"]}
    return speeds | {entry["depth"]: entry["tokens_per_second"] for entry in result["decode"]}


def bfloat16_folder():
    """The dequantised teacher as a bfloat16 folder, written once: what both sides read."""
    folder = ROOT / ".models" / "SmolLM2-135M-bf16"
    if not (folder / "config.json").exists():
        teacher.load(dtype=torch.bfloat16).save_pretrained(folder)
        teacher.tokenizer().save_pretrained(folder)
    return folder


def check(model, folder, ids):
    """Both must agree on the most likely next token, but for near ties that bfloat16 decides."""
    row = torch.tensor(ids[:512])
    with torch.no_grad():
        expected = model(row[None], use_cache=False).logits[0].float()
    ours = moult.logits(folder, [row])[0]
    agreement = (expected.argmax(-1) == ours.argmax(-1)).float().mean().item()
    difference = (expected - ours).abs().mean().item()
    print(f"agreement on the most likely token {agreement:.1%}, mean difference of logits {difference:.3f}")
    if agreement < 0.95:
        raise SystemExit("the two do not compute the same model: nothing is timed")


def row(name, values):
    cells = (f"{values[key]:.0f}" if key in values else "" for key in ("prefill", SHALLOW, DEEP))
    print(f"| {name} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=["bf16", "f32"], default="bf16", help="of transformers' side")
    parser.add_argument("--reference-only", action="store_true", help="do not run Moult")
    parser.add_argument("--output", type=Path, help="a JSON file for every figure")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    from transformers import AutoModelForCausalLM

    folder = bfloat16_folder()
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[arguments.dtype]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    ids = text_ids(PREFILL)
    samples = {"transformers": []}
    if not arguments.reference_only:
        check(model, folder, ids)
        student = ROOT / ".demo" / "student-bf16"
        if not student.exists():
            moult.run("convert", folder, "--output", student, "--window", 64, "--dtype", "bf16")
        samples |= {"Moult, teacher": [], "Moult, student": []}

    prefill_speed(model, ids), decode_speed(model, ids)
    for index in range(arguments.rounds):
        samples["transformers"].append({"prefill": prefill_speed(model, ids), SHALLOW: decode_speed(model, ids)})
        if not arguments.reference_only:
            samples["Moult, teacher"].append(moult_speeds(folder, arguments.threads, [SHALLOW]))
            samples["Moult, student"].append(moult_speeds(student, arguments.threads, [SHALLOW, DEEP]))
        print(f"round {index + 1} of {arguments.rounds}", flush=True)

    medians = {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
               for name, runs in samples.items()}
    print(f"\n{arguments.threads} threads, transformers in {arguments.dtype}, tokens per second:\n")
    print(f"| | prefill {PREFILL} | decode after {SHALLOW} | decode after {DEEP} |\n|---|---|---|---|")
    for name, values in medians.items():
        row(name, values)
    if not arguments.reference_only:
        base, own, student = medians.values()
        print(f"\nprefill, teacher against transformers: {own['prefill'] / base['prefill']:.2f}x")
        print(f"prefill, student against transformers: {student['prefill'] / base['prefill']:.2f}x")
        print(f"decode, student against transformers: {student[SHALLOW] / base[SHALLOW]:.2f}x")
        print(f"decode, student after {DEEP} against after {SHALLOW}: {student[DEEP] / student[SHALLOW]:.3f}")
    if arguments.output:
        document = {"threads": arguments.threads, "dtype": arguments.dtype, "machine": platform.processor(),
                    "medians": medians, "samples": samples}
        arguments.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
