"""flash-linear-attention's chunk_gsa, at the best of a bounded number of configurations of each kernel.

Its Triton kernels try up to 48 configurations each, compiling every one: many minutes a shape. A process of its own tries
them, so that it can be stopped; Triton keeps on disk what it found, kernel by kernel, for this process and for later runs.
"""

import subprocess
import sys

import torch

import slots


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


class FlashLinearAttention:
    """The same attention as `slots.Slots`. It has a slot's writes s = 1 - a and log gates of one precision with q, k and v,
    as its layer passes them, and repeats k, v, s and gates for the query heads of a group."""

    def __init__(self, q, k, v, gates, do):
        from fla.ops.gsa import chunk_gsa
        self.function, self.gradient = chunk_gsa, do
        self.inputs = [x.detach().requires_grad_() for x in (q, k, v, -torch.expm1(gates).to(q.dtype), gates.to(q.dtype))]

    def forward(self):
        return self.function(*self.inputs, scale=self.inputs[0].shape[-1] ** -0.5)[0]

    def forward_without_gradient(self):
        with torch.no_grad():
            return self.forward()

    def both(self):
        return torch.autograd.grad(self.forward(), self.inputs, self.gradient)


def tune(shape, count, seconds):
    """None once the configurations for a shape are chosen; else why they are not."""
    sizes = [str(getattr(shape, name)) for name in ("B", "T", "H", "N", "K", "M")]
    try:
        result = subprocess.run([sys.executable, __file__, str(count), *sizes], timeout=seconds)
    except subprocess.TimeoutExpired:
        return "not finished"
    return f"failed ({result.returncode})" if result.returncode else None


if __name__ == "__main__":
    bound_configurations(int(sys.argv[1]))
    FlashLinearAttention(*slots.Shape(*map(int, sys.argv[2:])).inputs()).both()
    torch.cuda.synchronize()
