"""Moult's CUDA kernels on PyTorch's tensors, compiled as Moult compiles them and launched through CuPy; and their timing."""

import hashlib
import os
import re
import statistics
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cupy
import torch
from cupy.cuda import nvrtc

KERNELS = Path(__file__).resolve().parents[2] / "Sources" / "CCUDA" / "kernels"
CUBINS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "moult-benchmarks"


def source(file, included=None):
    """The text of a kernel file with its headers in their place, each once."""
    included = set() if included is None else included
    if file in included:
        return ""
    included.add(file)
    text = next(KERNELS.rglob(file)).read_text().replace("#pragma once\n", "")
    # emulated_device.h belongs to the tests: only they define what asks for it.
    return re.sub(r'#include "(\w+\.cuh)"', lambda found: source(found[1], included), text)


def compiled(text, expression, architecture):
    """The machine code of a kernel and its name there, with Moult's options (Sources/CCUDA/driver/compiler.c), kept in a cache."""
    key = hashlib.sha256("\0".join((text, expression, architecture, str(nvrtc.getVersion()))).encode()).hexdigest()
    place = CUBINS / f"{key}.cubin"
    name = place.with_suffix(".name")
    if not name.exists():
        CUBINS.mkdir(parents=True, exist_ok=True)
        program = nvrtc.createProgram(text, "kernel.cu", (), ())
        try:
            nvrtc.addNameExpression(program, expression)
            nvrtc.compileProgram(program, (f"--gpu-architecture={architecture}", "--std=c++17", "-default-device"))
            place.write_bytes(nvrtc.getCUBIN(program))
            lowered = nvrtc.getLoweredName(program, expression)
            name.write_text(lowered if isinstance(lowered, str) else lowered.decode())
        except nvrtc.NVRTCError as error:
            raise SystemExit(f"{expression}: {error}\n{nvrtc.getProgramLog(program)}") from None
        finally:
            nvrtc.destroyProgram(program)
    return place, name.read_text()


@cache
def kernel(file, expression, shared):
    architecture = f"sm_{cupy.cuda.Device().compute_capability}"
    place, name = compiled(source(file), expression, architecture)
    function = cupy.RawModule(path=str(place)).get_function(name)
    if shared > 48 << 10:
        function.max_dynamic_shared_size_bytes = shared
    return function


def argument(value):
    if value is None:
        return cupy.uint64(0)
    if isinstance(value, torch.Tensor):
        return cupy.uint64(value.data_ptr())
    return cupy.int32(value) if isinstance(value, int) else cupy.float32(value)


@dataclass
class Launch:
    """One launch of a kernel."""
    file: str
    expression: str
    grid: tuple
    block: int
    shared: int
    arguments: list
    # Tensors that are both read and written.
    updated: tuple = ()
    # Of the matrix products.
    operations: float = 0
    # The arguments, without those that are passed twice; the arguments where None.
    once: list | None = None

    def __call__(self):
        values = tuple(map(argument, self.arguments))
        with cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream):
            kernel(self.file, self.expression, self.shared)(self.grid, (self.block,), values, shared_mem=self.shared)

    @property
    def name(self):
        return self.expression.split("<")[0]

    @property
    def bytes(self):
        """What it cannot but read and write: every tensor once."""
        tensors = [x for x in (self.arguments if self.once is None else self.once) if isinstance(x, torch.Tensor)]
        return sum(x.nbytes for x in (*tensors, *self.updated))


def run(launches):
    for launch in launches:
        launch()


# Timing

def microseconds(call, repeats):
    """Time of a call on the device, the mean of `repeats` in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    enqueuing = time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    # The device waits until the calls are enqueued, for which Python can need longer than the device for running them.
    torch.cuda._sleep(int(2e9 * 1.5 * enqueuing))
    begin.record()
    for _ in range(repeats):
        call()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) * 1000 / repeats


def medians(calls, rounds=5, repeats=8):
    """{name: µs}, medians over rounds that take the calls by turns."""
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(microseconds(call, repeats))
    return {name: statistics.median(values) for name, values in times.items()}


@dataclass
class Limits:
    """What the card was measured to do."""
    bandwidth: float  # bytes/s of a copy, read and written
    products: float   # FLOP/s of a bfloat16 matrix product

    @classmethod
    def measured(cls):
        x = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
        y = torch.empty_like(x)
        a, b = (torch.randn(8192, 8192, device="cuda").bfloat16() for _ in range(2))
        times = medians({"copy": lambda: y.copy_(x), "product": lambda: a @ b})
        return cls(2 * x.nbytes / times["copy"] * 1e6, 2 * 8192**3 / times["product"] * 1e6)

    def microseconds(self, launch):
        """The least time of a launch on such a card."""
        return max(launch.bytes / self.bandwidth, launch.operations / self.products) * 1e6


# Checks

def error(found, expected):
    """‖found - expected‖ / ‖expected‖."""
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


def check(name, go, expected, tolerance=1.5e-2):
    """Runs `go` twice: {tensor: relative error}. Stops where the runs differ in a bit or from what is expected."""
    first, second = go(), go()
    torch.cuda.synchronize()
    errors = {key: error(first[key], value) for key, value in expected.items()}
    print(f"{name}:", " ".join(f"{key} {value:.1e}" for key, value in errors.items()), flush=True)
    if not all(torch.equal(first[key], second[key]) for key in first):
        raise SystemExit(f"{name}: two runs differ")
    if not max(errors.values()) < tolerance:
        raise SystemExit(f"{name}: wrong")
    return {"check": name, "relative_errors": errors, "repeatable": True}
