#!/usr/bin/env python3
"""Speed and memory of `moult train` at the shapes that people convert, on one to four GPUs of one host.

    python3 Benchmarks/gpu/large.py --run [--only REGEX] [--work FOLDER] [--output FILE.json]   # all of it, or some cases
    python3 Benchmarks/gpu/large.py --list                                                      # names of the cases
    python3 Benchmarks/gpu/large.py --make mistral-7b FOLDER                                    # a random model and text
    MOULT=.build/debug/moult python3 Benchmarks/gpu/large.py --smoke                            # tiny ones, two processors

The environment variable MOULT names the executable; numpy is all that Python needs. Models are random, with a tokenizer of
their own whose every word is a token: speed and memory depend on neither. They are made and converted once and stay in --work
(28 to 34 GB for both; by default in /dev/shm where it has room, else in .demo/large). A run has --steps updates of one stage
and is killed when its metrics.jsonl says that the stage has ended, before it would write a checkpoint (12 bytes a trained parameter
and more) and a student. A case that fails says why, and the next begins; once --seconds are over none does.

Tokens per second are the median of the steps from the third on, of all GPUs; `x` is their ratio to the same case on one GPU,
whose rows are as many a GPU. Bytes are the largest of any card: what the plan foretold, the allocator's peak, nvidia-smi's.
The fraction of the peak (989 TFLOP/s a card: bfloat16, dense, H100 and H200 SXM) counts products with weights alone, neither
attention's own nor what is computed again: a token costs 2 operations a weight forwards, 2 for the gradient of what goes in and 2
for the weight's own, where each is needed. An embedding table counts as the head.
"""

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parents[2]
EXECUTABLE = os.environ.get("MOULT", ROOT / ".build" / "release" / "moult")
PEAK = 989e12
SHARD = 2_000_000_000  # each is written by a thread of its own
COMMON = {"hidden_act": "silu", "rms_norm_eps": 1e-5, "attention_bias": False, "mlp_bias": False, "dtype": "bfloat16"}
SHAPES = {
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


@dataclass(frozen=True)
class Case:
    shape: str
    stage: str
    gpus: int
    rows: int  # of a batch, a GPU
    length: int = 2048
    accumulation: int = 1
    lora: int = 0  # rank
    options: str = ""

    @property
    def kind(self):
        """What a case has in common with the one on one GPU that it is compared with."""
        extra = [f"LoRA {self.lora}"] * (self.lora > 0) + [self.options.replace("-memory", "").replace("--", "")]
        return " ".join(filter(None, [self.shape, self.stage, *extra]))

    @property
    def rows_text(self):
        return f"{self.rows * self.gpus} × {self.length}" + f" × {self.accumulation}" * (self.accumulation > 1)

    def __str__(self):
        return f"{self.kind}, {self.gpus} × GPU, {self.rows_text}"


HOST = "--optimizer-memory host --teacher-memory host"
CASES = [
    Case("llama-1b", "align", 1, 8), Case("llama-1b", "align", 4, 8), Case("llama-1b", "distil", 1, 8),
    Case("llama-1b", "distil", 2, 8), Case("llama-1b", "distil", 4, 8),
    Case("mistral-7b", "align", 1, 4), Case("mistral-7b", "align", 4, 4), Case("mistral-7b", "distil", 4, 4),
    Case("mistral-7b", "distil", 1, 4, accumulation=4, options=HOST), Case("mistral-7b", "finetune", 1, 4, lora=16),
    Case("mistral-7b", "finetune", 4, 4, lora=16), Case("llama-1b", "finetune", 1, 8, lora=16),
]
SMOKE = [
    Case("llama-1b", "align", 1, 2, 64), Case("llama-1b", "align", 2, 2, 64),
    Case("mistral-7b", "distil", 1, 1, 64, 2), Case("mistral-7b", "distil", 2, 1, 64, 2),
    Case("mistral-7b", "distil", 2, 1, 64, options=HOST), Case("llama-1b", "finetune", 1, 2, 64, lora=4),
    Case("llama-1b", "finetune", 1, 2, 64, lora=4096),  # fails: a rank beyond the matrices' sides
]


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
    """bfloat16 weights of normal(0, 0.02), norms 1: parts of one long list of random numbers, whose length is odd, so that no
    two rows are alike; the disk alone is waited for."""
    bits = (numpy.random.default_rng(0).standard_normal((1 << 25) - 39, numpy.float32) * 0.02).view(numpy.uint32)
    pool = (bits + 0x7FFF + (bits >> 16 & 1) >> 16).astype("<u2")
    shards, size = [[]], 0
    for name, shape in tensors(config):
        if shards[-1] and size + 2 * prod(shape) > SHARD:
            shards, size = shards + [[]], 0
        shards[-1].append((name, shape))
        size += 2 * prod(shape)

    def write(index):
        header, end = {"__metadata__": {"format": "pt"}}, 0
        for name, shape in shards[index]:
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end := end + 2 * prod(shape)]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        at = index * 1_234_567
        with (folder / names[index]).open("wb", buffering=0) as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for _, shape in shards[index]:
                left = prod(shape)
                while left:
                    part = pool[at:at + left] if len(shape) > 1 else numpy.full(left, 0x3F80, "<u2")
                    file.write(part.data)
                    left -= len(part)
                    at = (at + len(part)) % len(pool)

    names = [f"model-{index + 1:05}-of-{len(shards):05}.safetensors" for index in range(len(shards))]
    with ThreadPoolExecutor() as threads:
        list(threads.map(write, range(len(shards))))
    total = sum(2 * prod(shape) for _, shape in tensors(config))
    files = {name: file for file, shard in zip(names, shards) for name, _ in shard}
    index = {"metadata": {"total_size": total}, "weight_map": files}
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
    merges = [(space, a) for a in letters] + pairs + threes + [("".join(three), d) for three in threes for d in letters]
    merges = merges[:config["vocab_size"] - len(vocabulary) - 2]
    vocabulary += map("".join, merges)
    numbers = (number for number in range(config["vocab_size"]) if number not in (bos, eos))
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    document = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
        "added_tokens": [{"id": bos, "content": "<s>"} | plain, {"id": eos, "content": "</s>"} | plain],
        "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": dict(zip(vocabulary, numbers)), "merges": [" ".join(merge) for merge in merges]},
    }
    (folder / "tokenizer.json").write_text(json.dumps(document, ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    return [word for word in vocabulary if word.startswith(space) and len(word) > 3]


def make(config, folder, count):
    """A Hugging Face folder of random weights, and beside it text.txt of `count` words, as common as words are (Zipf)."""
    start, place = time.perf_counter(), folder.with_name(folder.name + ".partial")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(config, indent=2))
    words, draw = write_tokenizer(config, place), random.Random(0)
    chosen = [words[int(len(words) ** draw.random()) - 1].replace("Ġ", " ") for _ in range(count)]
    (place / "text.txt").write_text("\n".join("".join(chosen[at:at + 500]) for at in range(0, count, 500)))
    size = write_weights(config, place)
    place.rename(folder)
    print(f"made {folder.name}: {size / 1e9:.1f} GB in {time.perf_counter() - start:.1f} s", flush=True)


def convert(source, folder):
    # Reads and writes as much as the model has, 14.5 GB for Mistral's: seconds from and to memory, which page cache or
    # /dev/shm are; the first touch of new memory may cost a virtual machine 3 s for each 8 GB, and a disk its own speed.
    start = time.perf_counter()
    subprocess.run([EXECUTABLE, "convert", source, "--output", folder], check=True, stdout=subprocess.DEVNULL)
    print(f"converted {source.name} in {time.perf_counter() - start:.1f} s", flush=True)


def card_memory():
    """Bytes in use of each card; none where there is no GPU."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.split()
    except FileNotFoundError:
        return []
    return [int(line) << 20 for line in lines if line.isdigit()]


def end(process):
    """Kills a run and its ranks, which are processes of groups of their own; the run waits for them."""
    if process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in map(int, children or [process.pid]):
            try:
                os.kill(child, 9)
            except ProcessLookupError:
                pass
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def events(path):
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]  # the last may be cut


def train(case, work, steps, seconds, device):
    """Runs a case: its metrics' events, what each card held at most, what went wrong."""
    source, place = work / case.shape, work / "run"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    rows = case.rows * case.gpus
    stage = {"stage": case.stage, "tokens": steps * rows * case.length * case.accumulation, "sequences": rows,
             "accumulation": case.accumulation} | ({"lora_rank": case.lora} if case.lora else {})
    config = {
        "length": case.length, "validation": {"every": 1 << 30, "recall_questions": 0}, "checkpoints": {"every": 1 << 30},
        "data": {"train": [str(source / "text.txt")], "validation_share": 0, "cache": str(work / f"{case.shape}-tokens")},
        "stages": [stage],
    }
    (place / "run.yaml").write_text(json.dumps(config))  # JSON is YAML
    command = [EXECUTABLE, "train", work / f"{case.shape}-student", "--config", place / "run.yaml", "--output",
               place / "run", "--device", device, *case.options.split()]
    command += ["--teacher", source] if case.stage != "finetune" else []
    command += ["--gpus" if device == "cuda" else "--ranks", case.gpus] if case.gpus > 1 else []
    start, metrics, held, fault, found, first = time.perf_counter(), place / "run" / "metrics.jsonl", [], None, [], None
    with (place / "out").open("w") as out, (place / "errors").open("w") as errors:
        process = subprocess.Popen([*map(str, command)], stdout=out, stderr=errors)
        try:
            while process.poll() is None and not any(event["event"] == "stage_end" for event in found):
                if time.perf_counter() - start > seconds:
                    fault = f"not finished in {seconds:.0f} s"
                    break
                now = card_memory()[:case.gpus]
                held = [max(pair) for pair in zip(held or now, now)]
                time.sleep(0.2)
                found = events(metrics)
                if first is None and any(event["event"] == "step" for event in found):
                    first = time.perf_counter() - start
        finally:
            end(process)
    found = events(metrics)
    if not fault and not any(event["event"] == "stage_end" for event in found):
        lines = (place / "errors").read_text().strip().splitlines() or [f"exit code {process.returncode}"]
        fault = lines[-1]
    shutil.rmtree(place)
    return {"events": found, "card_bytes": held, "first_step_seconds": first, "fault": fault,
            "seconds": time.perf_counter() - start}


def operations(case, config, start):
    """Of a token: twice the weights that are multiplied with, forwards and for each of the two kinds of gradients."""
    head = config["vocab_size"] * config["hidden_size"]
    table = 0 if config["tie_word_embeddings"] else head
    teacher = sum(prod(shape) for _, shape in tensors(config)) - table
    student, trained = start["parameters"] - table, start["trained_parameters"]
    if case.stage == "align":
        return 2 * (teacher - head) + 6 * trained
    return (2 * teacher if case.stage == "distil" else 0) + (4 * student + 6 * trained if case.lora else 6 * student)


def summary(case, config, result, earlier, peak):
    """The figures of a case, None for those that are missing."""
    last = {event["event"]: event for event in result["events"]}
    steps = [event for event in result["events"] if event["event"] == "step"]
    speed = statistics.median(event["tokens_per_second"] for event in steps[2:]) if steps[2:] else None
    alone = next((it["tokens_per_second"] for it in earlier if it["kind"] == case.kind and it["case"]["gpus"] == 1), None)
    plan, ended = last.get("plan", {}), last.get("stage_end", {})
    return {
        "case": asdict(case), "kind": case.kind, "steps": len(steps), "tokens_per_second": speed,
        "ratio": speed / alone if speed and alone and case.gpus > 1 else None,
        "fraction": speed * operations(case, config, last["start"]) / case.gpus / PEAK if speed and peak else None,
        "forecast": plan, "allocator_bytes": ended.get("device_bytes"),
        "smi_bytes": max(result["card_bytes"], default=None), "stage_end": ended,
        "losses": [event["loss"] for event in steps],
    } | {key: result[key] for key in ("first_step_seconds", "seconds", "fault")}


def line(case, it):
    """A row of the table."""
    def text(value, form, scale=1):
        return "–" if value is None else format(value / scale, form)

    plan = it["forecast"]
    memory = [text(value, ".1f", 1e9) for value in (plan.get("device_bytes"), it["allocator_bytes"], it["smi_bytes"])]
    return " | ".join([
        f"| {case.kind}", f"{case.gpus}", case.rows_text, text(it["tokens_per_second"], ",.0f"), text(it["ratio"], ".2f"),
        text(plan.get("tokens_per_second"), ",.0f"), *memory, text(plan.get("recomputed_layers"), "d"),
        text(it["fraction"], ".1%"), text(it["first_step_seconds"], ".0f"), f"{it['seconds']:.0f} |"])


HEADER = """| | GPUs | rows × length (× batches) | tokens/s | x | foretold | GB a card, foretold | allocator | nvidia-smi | layers \
computed again | of the peak | s to the first step | s |
|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


def run(cases, shapes, work, arguments, device):
    began, results = time.perf_counter(), []
    for case in cases:
        left = arguments.seconds - (time.perf_counter() - began)
        if left < 30:
            print(f"{case}: left out, {arguments.seconds} s are over", flush=True)
            continue
        config, source, student = shapes[case.shape], work / case.shape, work / f"{case.shape}-student"
        if not source.exists():
            make(config, source, 20_000 if arguments.smoke else 1_000_000)
        if not student.exists():
            convert(source, student)
        left = arguments.seconds - (time.perf_counter() - began)
        result = train(case, work, arguments.steps, min(arguments.timeout, left), device)
        it = summary(case, config, result, results, device == "cuda")
        results.append(it)
        print(f"{case}: {it['fault']}" if it["fault"] else line(case, it), flush=True)
        if arguments.output:
            arguments.output.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\n{time.perf_counter() - began:.0f} s in all\n\n{HEADER}")
    for it in results:
        print(line(Case(**it["case"]), it))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--make", nargs=2, metavar=("SHAPE", "DIR"), help=f"a random model: {', '.join(SHAPES)}")
    for name, words in (("run", "the cases"), ("list", "their names"), ("smoke", "tiny models on the processor")):
        what.add_argument(f"--{name}", action="store_true", help=words)
    parser.add_argument("--only", default="", metavar="REGEX", help="the cases whose names it is found in")
    parser.add_argument("--steps", type=int, default=6, help="updates of a case (default: 6)")
    parser.add_argument("--timeout", type=float, default=120, help="seconds of a case at most (default: 120)")
    parser.add_argument("--seconds", type=float, default=540, help="seconds of it all (default: 540)")
    parser.add_argument("--work", type=Path, help="a folder for models (default: in /dev/shm, or .demo/large)")
    parser.add_argument("--output", type=Path, help="a JSON file for every figure")
    arguments = parser.parse_args()
    if arguments.make:
        return make(SHAPES[arguments.make[0]], Path(arguments.make[1]), 1_000_000)
    shapes = {name: config | TINY for name, config in SHAPES.items()} if arguments.smoke else SHAPES
    cases = [case for case in (SMOKE if arguments.smoke else CASES) if re.search(arguments.only, str(case))]
    if arguments.list:
        return print(*cases, sep="\n")
    # Twice: the source and its student.
    needed = sum(4.2 * prod(shape) for name in {case.shape for case in cases} for _, shape in tensors(shapes[name]))
    place = Path("/dev/shm/moult-large") if shutil.disk_usage("/dev/shm").free > needed else ROOT / ".demo" / "large"
    work = arguments.work or place.with_name(place.name + ("-smoke" if arguments.smoke else ""))
    work.mkdir(parents=True, exist_ok=True)
    print(f"models in {work}", flush=True)
    results = run(cases, shapes, work, arguments, "cpu" if arguments.smoke else "cuda")
    if arguments.smoke:
        shutil.rmtree(work)
        bad = [it for it in results if bool(it["fault"]) != (it["case"]["lora"] > 64) or not it["fault"] and it["steps"] < 3]
        raise SystemExit(f"{len(bad)} of {len(results)} cases went otherwise than expected" if bad else 0)


if __name__ == "__main__":
    main()
