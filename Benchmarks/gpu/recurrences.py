"""Gated linear recurrences and gated delta rules by Moult's kernels in chunks, and their definition in float64."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from device import Launch, check, run

FORWARD, STATES, BACKWARD = "chunks.cu", "chunk_states.cu", "chunks_backward.cu"
SHARED_LIMIT = 227 << 10


@dataclass(frozen=True)
class Shape:
    """Sequences, tokens, query heads, key/value heads, key and value width (K = V), decays per channel or of heads, delta or linear."""
    B: int
    T: int
    H: int
    N: int
    K: int
    channels: bool
    delta: bool

    def __str__(self):
        rule, decays = "delta" if self.delta else "linear", "channels" if self.channels else "heads"
        return f"gated {rule}, decays of {decays}, B={self.B} T={self.T} H={self.H}/{self.N} K={self.K}"

    def inputs(self):
        """q, k, v, log decays, betas or None, the gradient of o."""
        torch.manual_seed(1)

        def normal(heads):
            return torch.randn(self.B, self.T, heads, self.K, device="cuda")

        q, k, v, do = normal(self.H).bfloat16(), F.normalize(normal(self.N), dim=-1).bfloat16(), normal(self.N), normal(self.H)
        decays = F.logsigmoid(2 * torch.randn(self.B, self.T, self.N, self.K if self.channels else 1, device="cuda")) / 8
        betas = torch.rand(self.B, self.T, self.N, device="cuda") if self.delta else None
        return q, k, v.bfloat16(), decays, betas, do.bfloat16()


RULES = [(False, True), (True, True), (False, False), (True, False)]
TIMED = [Shape(*sizes, channels, delta) for channels, delta in RULES
         for sizes in ((16, 2048, 16, 16, 128), (1, 32768, 16, 16, 128), (32, 1024, 9, 3, 64))]
CHECKED = [Shape(*sizes, channels, delta) for channels, delta in RULES
           for sizes in ((2, 150, 6, 2, 64), (1, 131, 2, 2, 128))]


def words(*values):
    return ",".join(str(value).lower() for value in values)


class Recurrences:
    """The launches of Moult's backend (CUDABackend+RecurrenceChunks.swift), with its choices of chunks and slices."""

    def __init__(self, shape, q, k, v, decays, betas, do, initial=None, final_gradient=None, starts=None):
        B, T, N, K, V, channels, delta = shape.B, shape.T, shape.N, shape.K, shape.K, shape.channels, shape.delta
        C, G = 64, shape.H // N
        blocks, chunks = C // 16, -(-T // C)
        row, value_row, solved_row = K + 8, V + 8, C + 8

        def new(*sizes, dtype=torch.bfloat16):
            return torch.empty(sizes, dtype=dtype, device="cuda")

        def like(x):
            return None if x is None else torch.empty_like(x)

        self.o, self.dq, self.dk, self.dv, self.ddecays, self.dbetas = map(like, (q, q, k, v, decays, betas))
        self.final, self.initial_gradient = like(initial), like(initial)
        table_rows = 2 * blocks + 2
        tables = new(B, N, chunks, table_rows if channels else C, K if channels else 1, dtype=torch.float32)
        ratios, lowered, ends = (like(k) if channels else None for _ in range(3))
        solved, recalls, errors = (new(B, N, chunks, C, C), like(k), like(v)) if delta else (None, None, None)
        states, adjoints = new(B, N, chunks + 1, K, V), new(B, N, chunks + 1, K, V)
        keys, left, values = (lowered, ends, errors if delta else v) if channels else (k, k, errors if delta else v)
        decay_bytes = ((2 * blocks + 1) * K * 4 + C * 4 + C * row * 2) if channels else 8 * C
        grid, scale, sizes = (chunks, N, B), K**-0.5, words(K, V, C, channels)
        per_chunk, square, deep = B * N * chunks, C * C, 2 * C * K * V

        def scan(reversed_):
            first, second = delta or reversed_, delta or not reversed_
            slice_, stages = choose_scan(shape, channels, delta, reversed_)
            stage = C * row * 2 * (first + second) + C * (slice_ + 8) * 2 + (K * (slice_ + 8) * 2 if reversed_ else 0)
            stage += ((K if channels else C) + C) * 4
            shared = stage * stages + (K + C) * (slice_ + 8) * 2 + (2 * C + K) * 4
            arguments = [left, recalls, self.dv, tables, betas, starts, self.dv, adjoints, final_gradient,
                         self.initial_gradient, T] if reversed_ else [
                recalls, left, values, tables, betas, starts, errors, states, initial, self.final, T]
            updated = (self.dv, adjoints) if reversed_ else ((errors,) if delta else ())
            # `errors` and dv are passed twice.
            arguments_once = [x for i, x in enumerate(arguments) if x is None or not any(x is y for y in arguments[:i])]
            return Launch(STATES, f"recurrence_scan<{words(K, V, slice_, C, channels, delta, reversed_, stages)}>",
                          (V // slice_, N, B), 256, shared, arguments, updated=updated,
                          operations=per_chunk * deep * (first + second), once=arguments_once)

        self.forward = [
            Launch(FORWARD, f"recurrence_decays<{K},{C}>", grid, C * K // 32, blocks * K * 4,
                   [k, decays, starts, ratios, lowered, ends, tables, T]) if channels else
            Launch(FORWARD, f"recurrence_sums<{C}>", grid, 32, 0, [decays, tables, T])
        ] + ([
            Launch(FORWARD, f"recurrence_solve<{sizes}>", grid, 128,
                   C * (row * (2 if channels else 1) + value_row) * 2 + C * (C + 4) * 4 + C * solved_row * 2 + 8 * C + decay_bytes,
                   [k, lowered if channels else None, v, tables, ratios, betas, starts, solved, recalls, errors, T]
                   if channels else [k, k, v, tables, ratios, betas, starts, solved, recalls, errors, T],
                   operations=per_chunk * square * (2 * K + V))
        ] if delta else []) + [
            scan(False),
            Launch(FORWARD, f"recurrence_chunk_outputs<{sizes},{words(delta)}>", grid, 2 * C,
                   C * (row + value_row) * 2 + K * value_row * 2 + C * 4 + decay_bytes,
                   [q, keys, values, tables, ratios, betas, starts, states, self.o, T, G, scale],
                   operations=per_chunk * G * (deep + square * (K + V))),
        ]
        parts = 2 if V % 32 == 0 else 1
        tiles = max(C * (row + value_row) * 2, C * (K + 4) * 4 if channels else C * 4)
        self.backward = [
            Launch(BACKWARD, f"recurrence_read_gradients<{sizes}>", grid, 2 * C * parts,
                   C * (row + value_row) * 2 + C * 4 + decay_bytes,
                   [q, keys, tables, ratios, starts, do, self.dv, adjoints, T, G, scale],
                   operations=per_chunk * G * (deep + square * (K + V))),
            scan(True),
            Launch(BACKWARD, f"recurrence_reader_gradients<{sizes},{words(delta)}>", grid, 2 * C,
                   C * (row + value_row) * 2 + K * value_row * 2 + (C * (value_row + solved_row) * 2 if delta else 0) + C * 4
                   + decay_bytes,
                   [q, k, keys, values, tables, ratios, betas, starts, states, solved, do, self.dv if delta else None,
                    self.dq, self.dk if delta else None, self.dbetas, self.ddecays, T, G, scale],
                   updated=(self.dv,) if delta else (), once=None if channels else
                   [q, k, values, tables, betas, starts, states, solved, do, self.dv if delta else None, self.dq,
                    self.dk if delta else None, self.dbetas, self.ddecays],
                   operations=per_chunk * (G + delta) * (deep + square * (K + V)) + delta * per_chunk * square * V),
            Launch(BACKWARD, f"recurrence_writer_gradients<{sizes},{words(delta)}>", grid, 2 * C,
                   tiles + K * value_row * 2 + K * 4 + C * 4 + decay_bytes,
                   [q, k, keys, values, tables, ratios, betas, starts, states, adjoints, do, self.dv if delta else None, self.dk,
                    self.ddecays, T, G, scale],
                   updated=(self.ddecays,) + ((self.dk,) if delta else ()), once=None if channels else
                   [q, k, values, tables, betas, starts, states, adjoints, do, self.dv if delta else None, self.dk, self.ddecays],
                   operations=per_chunk * (deep + (G + delta) * square * (K + V))),
        ]

    def results(self):
        run(self.forward + self.backward)
        names = ("o", "dq", "dk", "dv", "ddecays", "dbetas", "state", "dstate")
        tensors = (self.o, self.dq, self.dk, self.dv, self.ddecays, self.dbetas, self.final, self.initial_gradient)
        return {name: x.clone() for name, x in zip(names, tensors) if x is not None}


def choose_scan(shape, channels, delta, reversed_):
    """Columns of the state a block takes, and stages of its pipeline: CUDABackend's choice."""
    heads, slice_ = shape.B * shape.N, min(64, shape.K)
    while slice_ > 16 and shape.K // slice_ * heads < 96:
        slice_ //= 2
    return slice_, 3


def step(q, k, v, decays, betas, state, keep=1):
    """One token: q (B, H, K), k and v (B, N, K), log decays (B, N, K or 1), the state (B, N, K, V) → o (B, H, V) and the state."""
    state = decays.exp()[..., None] * keep * state
    if betas is not None:
        v = betas[..., None] * (v - torch.einsum("bnk,bnkv->bnv", k, state))
    state = state + k[..., None] * v[..., None, :]
    query = q.unflatten(1, (k.shape[1], -1))
    return torch.einsum("bngk,bnkv->bngv", query, state).flatten(1, 2) * q.shape[-1] ** -0.5, state


def check_gradients(shape, documents):
    """Outputs, final states and every gradient beside float64's automatic differentiation of the recurrence."""
    q, k, v, decays, betas, do = shape.inputs()
    initial, final_gradient = (torch.randn(shape.B, shape.N, shape.K, shape.K, device="cuda") for _ in range(2))
    positions = torch.arange(shape.T, device="cuda")
    begins = (torch.rand(shape.B, shape.T, device="cuda") < 0.03) & (positions > 0)
    starts = torch.where(begins, positions, 0).cummax(1).values.int() if documents else None

    given = [x for x in (q, k, v, decays, betas) if x is not None]
    leaves = [x.double().requires_grad_() for x in (*given, initial)]
    state, outputs = leaves[-1], []
    for t in range(shape.T):
        keep = 1 - begins[:, t].double().reshape(-1, 1, 1, 1) if documents else 1
        token = [x[:, t] for x in leaves[:-1]] + ([] if shape.delta else [None])
        o, state = step(*token, state, keep)
        outputs.append(o)
    o = torch.stack(outputs, 1)
    gradients = torch.autograd.grad((o * do.double()).sum() + (state * final_gradient.double()).sum(), leaves)
    names = ["o", "state", "dq", "dk", "dv", "ddecays"] + ["dbetas"] * shape.delta + ["dstate"]
    sides = Recurrences(shape, q, k, v, decays, betas, do, initial, final_gradient, starts)
    return check(f"{shape}{', documents' if documents else ''}", sides.results,
                 dict(zip(names, (o.detach(), state.detach(), *gradients))))


class Peer:
    """flash-linear-attention's chunked operation of the same rule; where it has grouped heads only by repeating, they are repeated."""

    def __init__(self, shape, q, k, v, decays, betas, do):
        from fla.ops.gated_delta_rule import chunk_gated_delta_rule
        from fla.ops.gla import chunk_gla
        from fla.ops.kda import chunk_kda
        from fla.ops.simple_gla import chunk_simple_gla
        group = shape.H // shape.N
        k, v, decays = (x.repeat_interleave(group, 2) for x in (k, v, decays))
        decays = decays if shape.channels else decays.squeeze(-1)
        betas = [betas.repeat_interleave(group, 2)] if shape.delta else []
        self.gradient, self.scale = do, shape.K**-0.5
        self.inputs = [x.detach().requires_grad_() for x in (q, k, v, decays, *betas)]
        function = {(False, True): chunk_gated_delta_rule, (True, True): chunk_kda, (False, False): chunk_simple_gla,
                    (True, False): chunk_gla}[shape.channels, shape.delta]
        names = ("q", "k", "v", "g") + (("beta",) if shape.delta else ())
        self.call = lambda: function(**dict(zip(names, self.inputs)), scale=self.scale)[0]

    def forward(self):
        return self.call()

    def forward_without_gradient(self):
        with torch.no_grad():
            return self.call()

    def both(self):
        return torch.autograd.grad(self.call(), self.inputs, self.gradient)
