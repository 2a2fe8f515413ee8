"""flash-linear-attention's chunked operations, at the best of a bounded number of configurations of each kernel.

Its Triton kernels try up to 48 configurations each, compiling every one: many minutes a shape. A process of its own tries
them, so that it can be stopped; Triton keeps on disk what it found, kernel by kernel, for this process and for later runs.
"""

import importlib
import subprocess
import sys

import torch


def bound_configurations(count):
    """Lets Triton try `count` configurations of a kernel: those nearest to four warps and two or three stages, with the
    largest tiles. To be called before anything of flash-linear-attention is imported, whose kernels are all affected."""
    from triton.runtime.autotuner import Autotuner
    original = Autotuner.__init__

    def plainness(config):
        tiles = sum(value for value in config.kwargs.values() if isinstance(value, int))
        return abs(config.num_warps.bit_length() - 3) + max(0, config.num_stages - 3), -tiles

    def bounded(self, fn, arg_names, configs, *arguments, **options):
        original(self, fn, arg_names, sorted(configs, key=plainness)[:count], *arguments, **options)

    Autotuner.__init__ = bounded


def tune(module, shape, count, seconds):
    """None once the configurations of `module.Peer` for a shape of module.TIMED are chosen; else why they are not."""
    command = [sys.executable, __file__, module.__name__, str(module.TIMED.index(shape)), str(count)]
    try:
        result = subprocess.run(command, timeout=seconds, stderr=subprocess.PIPE, text=True)
    except subprocess.TimeoutExpired:
        return "not finished"
    if result.returncode == 0:
        return None
    reason = result.stderr.strip().splitlines()
    return f"failed: {reason[-1] if reason else result.returncode}"


if __name__ == "__main__":
    bound_configurations(int(sys.argv[3]))
    mixers = importlib.import_module(sys.argv[1])
    timed = mixers.TIMED[int(sys.argv[2])]
    mixers.Peer(timed, *timed.inputs()).both()
    torch.cuda.synchronize()
