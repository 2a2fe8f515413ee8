#!/usr/bin/env python3
"""Speed of Moult's CUDA kernels beside flash-linear-attention and PyTorch, on an NVIDIA GPU.

    python3 Benchmarks/gpu/kernels.py [--part gsa,recurrences,attention,step] [--shapes 0,2] [--no-fla] [--fla-configs 6] [--output FILE.json]
                                      [--beside CHECKOUT[:NAME=VALUE,...]]

Needs PyTorch and, unless --no-fla, flash-linear-attention. Everything that is timed is first compared with its
definition, gradients too, and run twice, which must give the same bits; a difference ends the run. Times are the device's,
medians over rounds that take the sides by turns. docs/benchmarks.md says what each figure means.
"""

import argparse
import importlib.util
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

import attention
import flash_linear_attention
import recurrences
import slots
from device import REPOSITORY, Limits, Text, error, kernels_of, medians, run

PARTS = ("gsa", "recurrences", "attention", "step")


def say(*words):
    print(f"[{time.perf_counter() - START:5.0f} s]", *words, flush=True)


def module_of(checkout, module):
    """A checkout's own module of launches."""
    spec = importlib.util.spec_from_file_location(
        f"beside_{module.__name__}", checkout / "Benchmarks" / "gpu" / f"{module.__name__}.py")
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def other_text(word):
    checkout, _, definitions = word.partition(":")
    return word, Text(Path(checkout).resolve(), tuple(definitions.split(",")) if definitions else ())


def compare(shape, ours, peer, peer_name, limits, others=()):
    """Rows of forward, backward, both, and each kernel; `peer` is None, a side, or why there is none; `others`: named sides of Moult's
    kernels that are timed in turns with ours."""
    calls, known = {}, []
    for side, launches in (("", ours), *others):
        passes = {"forward": launches.forward, "backward": launches.backward,
                  "forward + backward": launches.forward + launches.backward}
        passes |= {launch.expression: [launch] for launch in launches.forward + launches.backward}
        for name, steps in passes.items():
            known.append((side, name, steps))
            calls[side, name] = lambda steps=steps: run(steps)
    if peer is not None and not isinstance(peer, str):
        calls["peer", "forward"], calls["peer", "forward + backward"] = peer.forward_without_gradient, peer.both
    times = medians(calls)
    rows = []
    for side, name, steps in known:
        least = sum(map(limits.microseconds, steps))
        row = {"shape": str(shape), "what": f"{name}, {side}" if side else name, "microseconds": times[side, name],
               "least_microseconds": least, "limit_share": least / times[side, name]}
        if peer is not None and not side and name in ("forward", "forward + backward"):
            row |= {"peer": peer_name, "peer_microseconds": peer if isinstance(peer, str) else times["peer", name]}
        rows.append(row)
    return rows


def chosen_shapes(module, arguments):
    """The shapes that are timed: all, or those at the places that were asked for."""
    places = arguments.shapes
    return module.TIMED if places is None else [shape for place, shape in enumerate(module.TIMED) if place in places]


def mixer(module, kernels, limits, arguments):
    """Checks and rows of `kernels` of a module beside its Peer and other checkouts."""
    others = [(word, text, module_of(text.checkout, module)) for word, text in map(other_text, arguments.beside)]
    checks = []
    for word, text, its in [("", Text(REPOSITORY), module), *others]:
        # Other definitions are held to what this checkout gives, below.
        if not text.definitions:
            say(word or "this checkout")
            with kernels_of(text):
                checks += [its.check_gradients(shape, documents) for shape in its.CHECKED for documents in (False, True)]
    rows = []
    for shape in chosen_shapes(module, arguments):
        peer = None
        if arguments.fla:
            say(f"{shape}: flash-linear-attention chooses configurations")
            peer = flash_linear_attention.tune(module, shape, arguments.fla_configs, arguments.fla_seconds)
        inputs = shape.inputs()
        ours = kernels(shape, *inputs)
        sides = []
        for word, text, its in others:
            with kernels_of(text):
                sides.append((word, getattr(its, kernels.__name__)(shape, *inputs)))
        for word, side in sides:
            run(ours.forward + ours.backward + side.forward + side.backward)
            differences = {name: error(x, getattr(ours, name)) for name, x in vars(side).items() if isinstance(x, torch.Tensor)}
            say(word, "differs by", " ".join(f"{name} {value:.1e}" for name, value in differences.items()))
            if not max(differences.values()) < 1.5e-2:
                raise SystemExit(f"{word}: wrong")
        if arguments.fla and peer is None:
            peer = module.Peer(shape, *inputs)
            run(ours.forward)
            difference = error(peer.forward_without_gradient(), ours.o)
            say(f"{shape}: flash-linear-attention's o differs by {difference:.1e}")
            checks.append({"check": f"{shape}, flash-linear-attention", "relative_errors": {"o": difference}})
        rows += compare(shape, ours, peer, "flash-linear-attention", limits, sides)
        say(shape, "timed")
        del inputs, ours, peer, sides
        torch.cuda.empty_cache()
    return checks, rows


def gsa(limits, arguments):
    return mixer(slots, slots.Slots, limits, arguments)


def matrices(limits, arguments):
    return mixer(recurrences, recurrences.Recurrences, limits, arguments)


def softmax_attention(limits, arguments):
    checks, rows = [attention.check_gradients(shape) for shape in attention.CHECKED], []
    for shape in attention.TIMED:
        inputs = shape.inputs()
        ours = attention.Attention(shape, *inputs)
        peer = None if shape.window else attention.FlashAttention(*inputs)
        rows += compare(shape, ours, peer, "PyTorch, FlashAttention-2", limits)
        say(shape, "timed")
    return checks, rows


def steps(limits, arguments):
    sides = [slots.Step(shape) for shape in slots.STEPS]
    checks, rows = [side.check() for side in sides], []
    for side in sides:
        time = medians({"step": side.launch}, repeats=50)["step"]
        rows.append({"shape": str(side.shape), "what": side.launch.expression, "microseconds": time,
                     "limit_share": limits.microseconds(side.launch) / time})
    return checks, rows


def table(rows):
    print("\n| | | µs | of the limit | beside | µs | |\n|---|---|---|---|---|---|---|")
    for row in rows:
        other = row.get("peer_microseconds")
        beside = f"{row['peer']} | {other} |" if isinstance(other, str) else (
            f"{row['peer']} | {other:.1f} | {other / row['microseconds']:.2f}×" if other else " | |")
        print(f"| {row['shape']} | {row['what']} | {row['microseconds']:.1f} | {row['limit_share']:.0%} | {beside} |")
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", default=",".join(PARTS), help=f"which of {', '.join(PARTS)}, separated by commas")
    parser.add_argument("--shapes", type=lambda text: {int(word) for word in text.split(",")},
                        help="which shapes of mixers are timed, by their places from 0 on (default: all)")
    parser.add_argument("--no-fla", dest="fla", action="store_false", help="without flash-linear-attention")
    parser.add_argument("--fla-configs", type=int, default=6, help="configurations of a kernel that it may try (default: 6)")
    parser.add_argument("--fla-seconds", type=int, default=240, help="time for that, of each shape (default: 240)")
    parser.add_argument("--beside", action="append", default=[], metavar="CHECKOUT[:NAME=VALUE,...]",
                        help="another checkout, or definitions for the preprocessor, whose mixers are checked and timed in turns")
    parser.add_argument("--output", type=Path, help="a JSON file for every figure")
    arguments = parser.parse_args()
    chosen = arguments.part.split(",")
    if set(chosen) - set(PARTS):
        parser.error(f"--part: expected some of {', '.join(PARTS)}; found '{arguments.part}'")
    if arguments.fla:
        flash_linear_attention.bound_configurations(arguments.fla_configs)

    card = torch.cuda.get_device_name()
    limits = Limits.measured()
    say(f"{card}: copies {limits.bandwidth / 1e12:.2f} TB/s, bfloat16 products {limits.products / 1e12:.0f} TFLOP/s")
    checks, rows = [], []
    for name, part in zip(PARTS, (gsa, matrices, softmax_attention, steps)):
        if name in chosen:
            more_checks, more_rows = part(limits, arguments)
            checks, rows = checks + more_checks, rows + more_rows
            if arguments.output:
                document = {"card": card, "torch": torch.__version__, "cuda": torch.version.cuda, "limits": asdict(limits),
                            "fla_configurations": arguments.fla_configs if arguments.fla else None,
                            "checks": checks, "rows": rows}
                arguments.output.write_text(json.dumps(document, indent=2) + "\n")
    table(rows)
    say("done")


START = time.perf_counter()
if __name__ == "__main__":
    main()
