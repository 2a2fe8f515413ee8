"""Plain torch references of Moult's memories beside Gated Slot Attention: the naive recurrences, one token at a time, and what
each memory makes of a layer's input. In float64, written to be read; they know nothing of Moult's code.

q (T, H, K), k and v (T, N, K) are a layer's projections, x (T, D) its input, `layer` its tensors by name.
"""

import math

import torch
import torch.nn.functional as F

DIVISOR = 8


def half_life_biases(count, shortest, longest=4096.0, divisor=DIVISOR):
    """b for which exp(logsigmoid(b) / divisor) halves after a number of tokens log-spaced over `count`."""
    if count == 1:
        half_life = torch.tensor([shortest], dtype=torch.float64)
    else:
        half_life = torch.logspace(math.log10(shortest), math.log10(longest), count, dtype=torch.float64)
    return -torch.log(torch.expm1(divisor * math.log(2) / half_life))


def unit(x):
    return x * torch.rsqrt(x.pow(2).sum(-1, keepdim=True) + 1e-6)


def _read(state, query):
    """State (N, K, V) read by the G queries (N · G, K) of each of its heads: (N · G, V)."""
    groups, dim, _ = state.shape
    return torch.einsum("ngk,nkv->ngv", query.reshape(groups, -1, dim), state).reshape(query.shape[0], -1)


def gated_linear(q, k, v, log_decay):
    """S_t = Diag(exp(g_t)) S_{t-1} + k_t v_tᵀ, o_t = S_tᵀ q_t, with g (T, N, K) or (T, N, 1)."""
    state = torch.zeros(k.shape[1], k.shape[2], v.shape[2], dtype=q.dtype)
    outputs = []
    for t in range(q.shape[0]):
        state = log_decay[t].exp()[..., None] * state + k[t][..., None] * v[t][:, None]
        outputs.append(_read(state, q[t]))
    return torch.stack(outputs)


def gated_delta(q, k, v, log_decay, beta):
    """S_t = (I - β_t k_t k_tᵀ) Diag(exp(g_t)) S_{t-1} + β_t k_t v_tᵀ, o_t = S_tᵀ q_t, with β (T, N)."""
    state = torch.zeros(k.shape[1], k.shape[2], v.shape[2], dtype=q.dtype)
    outputs = []
    for t in range(q.shape[0]):
        state = log_decay[t].exp()[..., None] * state
        recalled = torch.einsum("nk,nkv->nv", k[t], state)
        state = state + k[t][..., None] * (beta[t][:, None] * (v[t] - recalled))[:, None]
        outputs.append(_read(state, q[t]))
    return torch.stack(outputs)


def general_delta(r, k, v, log_decay, read, write):
    """S_t = (Diag(exp(g_t)) + b_t a_tᵀ) S_{t-1} + k_t v_tᵀ, o_t = S_tᵀ r_t, with g, a and b (T, N, K)."""
    state = torch.zeros(k.shape[1], k.shape[2], v.shape[2], dtype=r.dtype)
    outputs = []
    for t in range(r.shape[0]):
        recalled = torch.einsum("nk,nkv->nv", read[t], state)
        state = log_decay[t].exp()[..., None] * state + write[t][..., None] * recalled[:, None] \
            + k[t][..., None] * v[t][:, None]
        outputs.append(_read(state, r[t]))
    return torch.stack(outputs)


def balanced(k, log_decay):
    return k * (1 - (2 * log_decay).exp()).clamp(min=1e-6).sqrt()


def _gates(x, layer, heads):
    """What goes into logsigmoid, (T, N, C)."""
    if "self_attn.gate_in_proj.weight" in layer:
        x = x @ layer["self_attn.gate_in_proj.weight"].T
    gates = F.linear(x, layer["self_attn.gate_proj.weight"], layer["self_attn.gate_proj.bias"])
    return gates.reshape(x.shape[0], heads, -1)


def gla(x, q, k, v, layer):
    decay = F.logsigmoid(_gates(x, layer, k.shape[1])) / DIVISOR
    return gated_linear(unit(q), balanced(unit(k), decay), v, decay)


def retention(x, q, k, v, layer):
    decay = (F.logsigmoid(layer["self_attn.decay"]) / DIVISOR).expand(x.shape[0], -1)[..., None]
    return gated_linear(unit(q), balanced(unit(k), decay), v, decay)


def hgrn2(x, q, k, v, layer):
    weight, bias = (layer[f"self_attn.gate.{name}"].reshape(k.shape[1:]) for name in ("weight", "bias"))
    gates = bias - weight * unit(k) * math.sqrt(k.shape[2])
    return gated_linear(unit(q), 1 - gates.sigmoid(), v, F.logsigmoid(gates))


def mamba2(x, q, k, v, layer):
    step = F.softplus(-_gates(x, layer, k.shape[1]))
    decay = -step * layer["self_attn.A_log"].exp()[:, None]
    return gated_linear(unit(q), unit(k) * step, v, decay)


def gated_deltanet(x, q, k, v, layer):
    beta = F.linear(x, layer["self_attn.beta_proj.weight"], layer["self_attn.beta_proj.bias"]).sigmoid()
    return gated_delta(unit(q), unit(k), v, F.logsigmoid(_gates(x, layer, k.shape[1])) / DIVISOR, beta)


kda = gated_deltanet


def rwkv7(x, q, k, v, layer):
    removal, replacement = (layer[f"self_attn.{name}"].reshape(k.shape[1:]) for name in ("removal_key", "replacement"))
    rate = x @ layer["self_attn.rate_in_proj.weight"].T
    rate = F.linear(rate, layer["self_attn.rate_proj.weight"], layer["self_attn.rate_proj.bias"]).sigmoid().reshape(k.shape)
    decay = F.logsigmoid(_gates(x, layer, k.shape[1])) / DIVISOR
    removed = unit(unit(k) * removal)
    return general_delta(unit(q), unit(k) * (1 + replacement * (rate - 1)), v, decay, -removed, removed * rate)


# The memory, and whether it reads queries and keys with their rotary positions.
ALL = {"gla": (gla, False), "retention": (retention, True), "hgrn2": (hgrn2, False), "mamba2": (mamba2, False),
       "gated_deltanet": (gated_deltanet, False), "kda": (kda, False), "rwkv7": (rwkv7, False)}


def random_parameters(kind, width, heads, dim, generator):
    """Parameters by name, such that gates depend on the token more than a conversion makes them."""
    def normal(*shape, scale):
        return scale * torch.randn(shape, generator=generator, dtype=torch.float64)

    tensors = {}
    if kind in ("gla", "kda", "rwkv7"):
        rank = 16 if kind == "gla" else dim
        tensors["gate_in_proj.weight"] = normal(rank, width, scale=width ** -0.5)
        tensors["gate_proj.weight"] = normal(heads * dim, rank, scale=0.5)
        tensors["gate_proj.bias"] = half_life_biases(dim, 2).repeat(heads)
    if kind in ("gated_deltanet", "mamba2"):
        tensors["gate_proj.weight"] = normal(heads, width, scale=0.2)
        tensors["gate_proj.bias"] = half_life_biases(heads, 16, divisor=1 if kind == "mamba2" else DIVISOR)
    if kind in ("gated_deltanet", "kda"):
        tensors["beta_proj.weight"] = normal(heads, width, scale=0.3)
        tensors["beta_proj.bias"] = normal(heads, scale=0.5)
    if kind == "rwkv7":
        tensors["rate_in_proj.weight"] = normal(dim, width, scale=width ** -0.5)
        tensors["rate_proj.weight"] = normal(heads * dim, dim, scale=0.5)
        tensors["rate_proj.bias"] = normal(heads * dim, scale=0.5)
        tensors["removal_key"] = 1 + normal(heads * dim, scale=0.3)
        tensors["replacement"] = 1 + normal(heads * dim, scale=0.3)
    if kind == "mamba2":
        tensors["A_log"] = normal(heads, scale=0.3)
    if kind == "retention":
        tensors["decay"] = half_life_biases(heads, 16)
    if kind == "hgrn2":
        tensors["gate.weight"] = 1 + normal(heads * dim, scale=0.3)
        tensors["gate.bias"] = half_life_biases(dim, 2, divisor=1).repeat(heads)
    return {f"self_attn.{name}": x for name, x in tensors.items()}
