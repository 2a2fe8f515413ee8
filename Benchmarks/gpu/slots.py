"""Gated Slot Attention (Zhang et al. 2024, arXiv 2409.07146) by Moult's kernels, and its definition in float64."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from device import Launch, check, run

FORWARD, READ, WRITE, STEP = (
    f"gated_slot_attention{part}.cu" for part in ("", "_read_gradients", "_write_gradients", "_step"))
SHARED_LIMIT = 227 << 10


@dataclass(frozen=True)
class Shape:
    """Sequences, tokens, query heads, key/value heads, key and value width (K = V), slots."""
    B: int
    T: int
    H: int
    N: int
    K: int
    M: int

    def __str__(self):
        return f"GSA B={self.B} T={self.T} H={self.H}/{self.N} K={self.K} M={self.M}"

    def inputs(self):
        """q, k, v, logGates, the gradient of o."""
        torch.manual_seed(1)

        def normal(heads, width):
            return torch.randn(self.B, self.T, heads, width, device="cuda").bfloat16()

        q, k, v, do = (normal(heads, self.K) for heads in (self.H, self.N, self.N, self.H))
        gates = F.logsigmoid(2 * torch.randn(self.B, self.T, self.N, self.M, device="cuda")) / 8
        return q, k, v, gates, do


TIMED = [Shape(16, 2048, 16, 16, 128, 64), Shape(1, 32768, 16, 16, 128, 64), Shape(32, 1024, 9, 3, 64, 64)]
CHECKED = [Shape(2, 150, 9, 3, 64, 64), Shape(1, 131, 2, 2, 128, 64)]


class Slots:
    """The launches of Moult's backend (CUDABackend+Mixers.swift), with its choices of chunks and heads at once."""

    def __init__(self, shape, q, k, v, gates, do, initial=(None, None), final_gradient=(None, None), starts=None):
        B, T, N, K, V, M = shape.B, shape.T, shape.N, shape.K, shape.K, shape.M
        G, P, X = shape.H // N, (M + 15) // 16 * 16, K + V

        lone, halved = G == 1, X > 128

        def tiles(C, tables):
            return (C + P) * (X + 8) * 2 + C * (P + 8) * tables

        def output_bytes(C):
            return tiles(C, 6) + (C * (P + 4) * 4 if halved else 0) + C // 16 * P * 8 + C * 4

        def read_bytes(C):
            return tiles(C, 6) + C * (P + 4) * 4 + C // 16 * P * 8 + C * 4 + (0 if lone and P >= C else C * (X + 8) * 2)

        def write_bytes(C):
            return (C + max(P, C)) * (X + 8) * 2 + C * (P + 4) * 8 + C * (P + 8) * 2 + (3 * C // 16 + 2) * P * 4 + C * 4

        C = next(C for C in (64, 32, 16) if max(read_bytes(C), write_bytes(C)) <= SHARED_LIMIT)
        chunks = -(-T // C)
        sizes, grid = f"{K},{V},{M},{C}", (chunks, N, B)

        self.o, self.dq, self.dk, self.dv, self.dgates = map(torch.empty_like, (q, q, k, v, gates))
        self.final, self.initial_gradient = ([None if x is None else torch.empty_like(x) for x in initial] for _ in range(2))
        states = torch.empty(B, N, chunks, P, X, dtype=torch.bfloat16, device="cuda")
        contributions, keeps = torch.empty_like(states), torch.empty(B, N, chunks, P, device="cuda")
        spreads = torch.empty(B, T, shape.H, 2 * P, dtype=torch.bfloat16, device="cuda")
        balance = torch.empty(B, T, N, P, device="cuda")

        # Operations of the products that the formulas need, of a causal one half the square.
        per_chunk, linear, square = B * N * chunks, 2 * C * P, C * C
        scan_grid = (-(-P * X // 8 // 128), N, B)
        self.forward = [
            Launch(FORWARD, f"gsa_chunk_writes<{sizes}>", grid, 256,
                   C * (X + 8) * 2 + C * (P + 8) * 2 + C // 16 * P * 4,
                   [k, v, gates, starts, states, keeps, T], operations=per_chunk * linear * X),
            Launch(FORWARD, f"gsa_scan_states<{K},{V},{M},false>", scan_grid, 128, 0,
                   [states, keeps, *initial, *self.final, chunks], updated=(states,)),
            Launch(FORWARD, f"gsa_outputs<{sizes}>", grid, 4 * C if halved or not lone else 2 * C, output_bytes(C),
                   [q, k, v, gates, starts, states, self.o, T, G, K**-0.5],
                   operations=per_chunk * G * (linear * X + square * (X + 2 * P))),
        ]
        self.backward = [
            Launch(READ, f"gsa_read_gradients<{sizes},{str(lone).lower()}>", grid, 4 * C, read_bytes(C),
                   [q, k, v, gates, starts, states, do, self.dq, spreads, balance, contributions, T, G, K**-0.5],
                   operations=per_chunk * G * (linear * (X + K + X) + square * (2 * K + V + 4 * P))),
            Launch(FORWARD, f"gsa_scan_states<{K},{V},{M},true>", scan_grid, 128, 0,
                   [contributions, keeps, *final_gradient, *self.initial_gradient, chunks], updated=(contributions,)),
            Launch(WRITE, f"gsa_write_gradients<{sizes}>", grid, 4 * C, write_bytes(C),
                   [q, k, v, gates, starts, states, keeps, do, spreads, balance, contributions, self.dk, self.dv, self.dgates,
                    T, G],
                   operations=per_chunk * (2 * linear * X + G * square * (2 * X + 4 * P))),
        ]

    def results(self):
        run(self.forward + self.backward)
        names = ("o", "dq", "dk", "dv", "dgates", "keys", "values", "dkeys", "dvalues")
        tensors = (self.o, self.dq, self.dk, self.dv, self.dgates, *self.final, *self.initial_gradient)
        return {name: x.clone() for name, x in zip(names, tensors) if x is not None}


class Peer:
    """flash-linear-attention's chunk_gsa of the same sizes. It has a slot's writes s = 1 - a and log gates of one precision with q, k and v,
    as its layer passes them, and repeats k, v, s and gates for the query heads of a group."""

    def __init__(self, shape, q, k, v, gates, do):
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


def step(q, k, v, gates, keys, values, keep=1):
    """One token: q (B, H, K), k and v (B, N, K), gates (B, N, M), states (B, N, M, K) → o (B, H, K) and the states.
    `keep` 0 where a document begins, which forgets what was before."""
    a, s = gates.exp()[..., None] * keep, -torch.expm1(gates)[..., None]
    keys, values = a * keys + s * k[..., None, :], a * values + s * v[..., None, :]
    query = q.unflatten(1, (k.shape[1], -1))
    p = torch.softmax(torch.einsum("bngk,bnmk->bngm", query, keys) * q.shape[-1] ** -0.5, -1)
    return torch.einsum("bngm,bnmv->bngv", p, values).flatten(1, 2), keys, values


def check_gradients(shape, documents):
    """Outputs, final states and every gradient beside float64's automatic differentiation of the recurrence."""
    q, k, v, gates, do = shape.inputs()
    states = [torch.randn(shape.B, shape.N, shape.M, shape.K, device="cuda") for _ in range(4)]
    initial, final_gradient = states[:2], states[2:]
    positions = torch.arange(shape.T, device="cuda")
    begins = (torch.rand(shape.B, shape.T, device="cuda") < 0.03) & (positions > 0)
    starts = torch.where(begins, positions, 0).cummax(1).values.int() if documents else None

    leaves = [x.double().requires_grad_() for x in (q, k, v, gates, *initial)]
    keys, values, outputs = leaves[4], leaves[5], []
    for t in range(shape.T):
        keep = 1 - begins[:, t].double().reshape(-1, 1, 1, 1) if documents else 1
        o, keys, values = step(*(x[:, t] for x in leaves[:4]), keys, values, keep)
        outputs.append(o)
    o = torch.stack(outputs, 1)
    pairs = zip((o, keys, values), (do, *final_gradient))
    gradients = torch.autograd.grad(sum((x * dx.double()).sum() for x, dx in pairs), leaves)
    names = ("o", "keys", "values", "dq", "dk", "dv", "dgates", "dkeys", "dvalues")
    slots = Slots(shape, q, k, v, gates, do, initial, final_gradient, starts)
    return check(f"{shape}{', documents' if documents else ''}", slots.results,
                 dict(zip(names, (o.detach(), keys.detach(), values.detach(), *gradients))))


@dataclass(frozen=True)
class StepShape:
    """Sequences of a decode step, query heads, key/value heads, key and value width, slots."""
    R: int
    H: int
    N: int
    K: int
    M: int

    def __str__(self):
        return f"GSA step R={self.R} H={self.H}/{self.N} K={self.K} M={self.M}"


STEPS = [StepShape(rows, *sizes) for sizes in ((9, 3, 64, 64), (16, 16, 128, 64)) for rows in (1, 64)]


class Step:
    """One token for each of R sequences."""

    def __init__(self, shape):
        torch.manual_seed(1)
        R, H, N, K, M = shape.R, shape.H, shape.N, shape.K, shape.M
        G = H // N
        self.q, self.k, self.v = (torch.randn(R, heads, K, device="cuda").bfloat16() for heads in (H, N, N))
        self.gates = F.logsigmoid(2 * torch.randn(R, N, M, device="cuda")) / 8
        self.before = [torch.randn(R, N, M, K, device="cuda") for _ in range(2)]
        self.states, self.o = [x.clone() for x in self.before], torch.empty_like(self.q)
        self.shape = shape
        self.launch = Launch(
            STEP, f"gsa_step<{K},{K},{M},{G},float>", (N, R), 256, ((G + 1) * K + K + (G + 1) * M + 1024 * G) * 4,
            [self.q, self.k, self.v, self.gates, *self.states, self.o, K**-0.5, 1.0], updated=tuple(self.states))

    def results(self):
        for state, before in zip(self.states, self.before):
            state.copy_(before)
        self.launch()
        return {name: x.clone() for name, x in zip(("o", "keys", "values"), (self.o, *self.states))}

    def check(self):
        inputs = (x.double() for x in (self.q, self.k, self.v, self.gates, *self.before))
        return check(str(self.shape), self.results, dict(zip(("o", "keys", "values"), step(*inputs))))
