"""Moult's CUDA kernels on PyTorch's tensors, compiled as Moult compiles them and launched through the driver; and their timing."""

import ctypes
import hashlib
import os
import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch

REPOSITORY = Path(__file__).resolve().parents[2]
CUBINS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "moult-benchmarks"


@dataclass(frozen=True)
class Text:
    """Kernels of a checkout, with NAME=VALUE for the preprocessor."""
    checkout: Path = REPOSITORY
    definitions: tuple = ()

    def source(self, file, included=None):
        """The text of a kernel file with its headers in their place, each once."""
        included = set() if included is None else included
        if file in included:
            return ""
        included.add(file)
        folder = self.checkout / "Sources" / "CCUDA" / "kernels"
        text = next(folder.rglob(file)).read_text().replace("#pragma once\n", "")
        # emulated_device.h belongs to the tests: only they define what asks for it.
        return re.sub(r'#include "(\w+\.cuh)"', lambda found: self.source(found[1], included), text)


# The kernels that launches are made of.
text_in_use = Text()


@contextmanager
def kernels_of(text):
    """Launches made within have kernels of `text`."""
    global text_in_use
    before, text_in_use = text_in_use, text
    yield
    text_in_use = before


# NVRTC and the driver

@cache
def compiler():
    """NVRTC of the version that PyTorch was built for."""
    major = torch.version.cuda.split(".")[0]
    names = [f"libnvrtc.so.{major}", *sorted(Path(torch.__file__).parents[1].glob(f"nvidia/*/lib/libnvrtc.so.{major}*"))]
    for name in names:
        try:
            return ctypes.CDLL(str(name))
        except OSError:
            pass
    raise SystemExit(f"NVRTC cannot be loaded: expected one of {', '.join(map(str, names))}")


@cache
def driver():
    return ctypes.CDLL("libcuda.so.1")


def must(code, what):
    if code != 0:
        raise SystemExit(f"{what}: error {code}")


def bytes_of(program, kind):
    """What NVRTC has of a program, by its functions nvrtcGet<kind>Size and nvrtcGet<kind>."""
    size = ctypes.c_size_t()
    must(getattr(compiler(), f"nvrtcGet{kind}Size")(program, ctypes.byref(size)), kind)
    buffer = ctypes.create_string_buffer(size.value)
    must(getattr(compiler(), f"nvrtcGet{kind}")(program, buffer), kind)
    return buffer.raw


def compiled(text, expression, architecture, definitions=()):
    """The machine code of a kernel and its name there, with Moult's options (Sources/CCUDA/driver/compiler.c), kept in a cache."""
    version = ctypes.c_int(), ctypes.c_int()
    compiler().nvrtcVersion(*map(ctypes.byref, version))
    key = "\0".join((text, expression, architecture, *definitions, *(str(part.value) for part in version)))
    place = CUBINS / f"{hashlib.sha256(key.encode()).hexdigest()}.cubin"
    name = place.with_suffix(".name")
    if not name.exists():
        CUBINS.mkdir(parents=True, exist_ok=True)
        program, lowered = ctypes.c_void_p(), ctypes.c_char_p()
        options = [f"--gpu-architecture={architecture}", "--std=c++17", "-default-device", *(f"-D{x}" for x in definitions)]
        must(compiler().nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None), expression)
        must(compiler().nvrtcAddNameExpression(program, expression.encode()), expression)
        values = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if compiler().nvrtcCompileProgram(program, len(options), values):
            raise SystemExit(f"{expression}: {bytes_of(program, 'ProgramLog').decode()}")
        must(compiler().nvrtcGetLoweredName(program, expression.encode(), ctypes.byref(lowered)), expression)
        place.write_bytes(bytes_of(program, "CUBIN"))
        name.write_text(lowered.value.decode())
        compiler().nvrtcDestroyProgram(ctypes.byref(program))
    return place.read_bytes(), name.read_text()


@cache
def architecture():
    return "sm_{}{}".format(*torch.cuda.get_device_capability())


@cache
def kernel(text, file, expression, shared):
    code, name = compiled(text.source(file), expression, architecture(), text.definitions)
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    must(driver().cuModuleLoadData(ctypes.byref(module), code), f"cuModuleLoadData of {expression}")
    must(driver().cuModuleGetFunction(ctypes.byref(function), module, name.encode()), f"cuModuleGetFunction of {expression}")
    if shared > 48 << 10:
        most_dynamic_shared = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        must(driver().cuFuncSetAttribute(function, most_dynamic_shared, shared), f"cuFuncSetAttribute of {expression}")
    return function


def compile_all(launches):
    """Compiles what launches need, side by side, into the cache."""
    wanted = {(launch.text, launch.file, launch.expression) for launch in launches}
    capability = architecture()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda x: compiled(x[0].source(x[1]), x[2], capability, x[0].definitions), wanted))


def argument(value):
    if value is None:
        return ctypes.c_uint64(0)
    if isinstance(value, torch.Tensor):
        return ctypes.c_uint64(value.data_ptr())
    return ctypes.c_int32(value) if isinstance(value, int) else ctypes.c_float(value)


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
    text: Text = field(default_factory=lambda: text_in_use)

    def __post_init__(self):
        self.function = None
        self.values = list(map(argument, self.arguments))
        self.pointers = (ctypes.c_void_p * len(self.values))(*(ctypes.addressof(value) for value in self.values))

    def __call__(self):
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        self.function = self.function or kernel(self.text, self.file, self.expression, self.shared)
        grid = (*self.grid, 1, 1)[:3]
        must(driver().cuLaunchKernel(self.function, *grid, self.block, 1, 1, self.shared, stream, self.pointers, None),
             self.expression)

    @property
    def name(self):
        return self.expression.split("<")[0]

    @property
    def bytes(self):
        """What it cannot but read and write: every tensor once."""
        tensors = [x for x in (self.arguments if self.once is None else self.once) if isinstance(x, torch.Tensor)]
        return sum(x.nbytes for x in (*tensors, *self.updated))


def run(launches):
    if not all(launch.function for launch in launches):
        compile_all(launches)
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
