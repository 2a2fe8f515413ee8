"""Softmax attention by Moult's kernels, and its definition in float32."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from device import Launch, check, run

FORWARD, BACKWARD = "attention.cu", "attention_backward.cu"


@dataclass(frozen=True)
class Shape:
    """Sequences, tokens, query heads, key/value heads, head width; window 0 for none."""
    B: int
    T: int
    H: int
    N: int
    K: int
    window: int

    def __str__(self):
        window = f" window={self.window}" if self.window else ""
        return f"attention B={self.B} T={self.T} H={self.H}/{self.N} K={self.K}{window}"

    def inputs(self):
        """q, k, v, the gradient of o."""
        torch.manual_seed(1)
        return [torch.randn(self.B, self.T, heads, self.K, device="cuda").bfloat16()
                for heads in (self.H, self.N, self.N, self.H)]

    def visible(self):
        """(T, T): whether a query sees a key."""
        positions = torch.arange(self.T, device="cuda")
        distance = positions[:, None] - positions
        return (distance >= 0) & (distance < (self.window or self.T))

    @property
    def visible_count(self):
        width = self.window or self.T
        return width * self.T - width * (width - 1) // 2


TIMED = [Shape(32, 1024, 9, 3, 64, window) for window in (0, 64)]
CHECKED = [Shape(2, 333, 9, 3, 64, window) for window in (0, 64)]


class Attention:
    """The launches of Moult's backend (CUDABackend+Mixers.swift), with its choices of tiles, for widths up to 64."""

    def __init__(self, shape, q, k, v, do):
        B, T, H, N, K, window = shape.B, shape.T, shape.H, shape.N, shape.K, shape.window
        G, narrow = H // N, 0 < window < 256
        tiles, key_step = (1, 32) if narrow else (2, 64)
        rows, row_bytes = 64 * tiles, 128 * (K + 8)
        self.o, self.dq, self.dk, self.dv = map(torch.empty_like, (q, q, k, v))
        log_sums, dots = (torch.empty(B, H, T, device="cuda") for _ in range(2))
        sizes, starts = [T, T, N, window, K**-0.5], None
        query_grid = (-(-T * G // rows), N, B)
        gradient_bytes = 2 * row_bytes * (tiles + 2)
        product = 2 * K * B * H * shape.visible_count
        self.forward = [
            Launch(FORWARD, f"attention_forward<{K},{G},{tiles},{key_step}>", query_grid, 128, row_bytes * (tiles + 4),
                   [q, k, v, starts, self.o, log_sums, *sizes], operations=2 * product),
        ]
        self.backward = [
            Launch(BACKWARD, f"attention_query_gradient<{K},{G},{tiles}>", query_grid, 128, gradient_bytes,
                   [q, k, v, self.o, do, starts, log_sums, dots, self.dq, *sizes], operations=3 * product),
            Launch(BACKWARD, f"attention_key_gradients<{K},{G},{tiles}>", (-(-T // rows), N, B), 128, gradient_bytes + 1024,
                   [q, k, v, do, starts, log_sums, dots, self.dk, self.dv, *sizes], operations=4 * product),
        ]

    def results(self):
        run(self.forward + self.backward)
        return {"o": self.o.clone(), "dq": self.dq.clone(), "dk": self.dk.clone(), "dv": self.dv.clone()}


def check_gradients(shape):
    q, k, v, do = shape.inputs()
    leaves = [x.float().requires_grad_() for x in (q, k, v)]
    keys, values = (x.repeat_interleave(shape.H // shape.N, 2) for x in leaves[1:])
    scores = torch.einsum("bthk,bshk->bhts", leaves[0], keys) * shape.K**-0.5
    o = torch.einsum("bhts,bshk->bthk", scores.masked_fill(~shape.visible(), -math.inf).softmax(-1), values)
    gradients = torch.autograd.grad(o, leaves, do.float())
    expected = dict(zip(("o", "dq", "dk", "dv"), (o.detach(), *gradients)))
    return check(str(shape), Attention(shape, q, k, v, do).results, expected)


class FlashAttention:
    """PyTorch's scaled_dot_product_attention with its FlashAttention-2 kernels; causal, without a window."""

    def __init__(self, q, k, v, do):
        self.inputs = [x.transpose(1, 2).detach().requires_grad_() for x in (q, k, v)]
        self.gradient = do.transpose(1, 2)

    def forward(self):
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
            return F.scaled_dot_product_attention(*self.inputs, is_causal=True, enable_gqa=True)

    def forward_without_gradient(self):
        with torch.no_grad():
            return self.forward()

    def both(self):
        return torch.autograd.grad(self.forward(), self.inputs, self.gradient)
