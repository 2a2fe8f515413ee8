"""A plain torch reference of Moult's own model: Llama with softmax-preserving Gated Slot Attention, or another memory
(memories.py).

Written to be read, not to be fast: everything in float64, the recurrence one token at a time. It knows nothing of
Moult's code; both follow the same equations:

    a_t = exp(logsigmoid(W_f x_t + b_f) / 8)             per key/value head n and slot m
    K_t = a_t * K_{t-1} + (1 - a_t) k_t                   slot keys    (M, K)
    V_t = a_t * V_{t-1} + (1 - a_t) v_t                   slot values  (M, V)
    o_t = V_t^T softmax(K_t q_t / sqrt(K))
    out = W_o (w * attention over the last W tokens + (1 - w) * o),  w = sigmoid(W_m x + b_m) per query head
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import memories


def rms_norm(x, weight, epsilon):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight


def rotate(x, theta):
    """Rotary position embedding in the two-halves layout, positions from 0; x is (T, H, K)."""
    dim = x.shape[-1]
    frequency = theta ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angle = torch.outer(torch.arange(x.shape[0], dtype=torch.float64), frequency)[:, None]
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()), dim=-1)


def softmax_attention(q, k, v, window=0):
    """Causal attention, q (T, H, K), k (T, N, K), v (T, N, V); over the last `window` tokens unless it is 0."""
    length, heads, dim = q.shape
    group = heads // k.shape[1]
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    distance = torch.arange(length)[:, None] - torch.arange(length)[None]
    visible = (distance >= 0) & ((distance < window) if window else torch.ones_like(distance, dtype=torch.bool))
    scores = torch.einsum("thk,shk->hts", q, k) / math.sqrt(dim)
    return torch.einsum("hts,shv->thv", scores.masked_fill(~visible, -math.inf).softmax(-1), v)


def gated_slot_attention(q, k, v, log_gate, scale):
    """The naive recurrence: q (T, H, K), k (T, N, K), v (T, N, V), log_gate (T, N, M); returns (T, H, V)."""
    length, heads, dim = q.shape
    groups, slots = log_gate.shape[1:]
    slot_keys = torch.zeros(groups, slots, dim, dtype=q.dtype)
    slot_values = torch.zeros(groups, slots, v.shape[-1], dtype=q.dtype)
    outputs = []
    for t in range(length):
        keep = log_gate[t].exp()[..., None]
        slot_keys = keep * slot_keys + (1 - keep) * k[t][:, None]
        slot_values = keep * slot_values + (1 - keep) * v[t][:, None]
        query = q[t].reshape(groups, heads // groups, dim)
        weights = torch.einsum("ngk,nmk->ngm", query, slot_keys).mul(scale).softmax(-1)
        outputs.append(torch.einsum("ngm,nmv->ngv", weights, slot_values).reshape(heads, -1))
    return torch.stack(outputs)


def parameters(folder):
    """The tensors of a model folder by name, float64."""
    return {name: x.double() for name, x in load_file(Path(folder) / "model.safetensors").items()}


def logits(folder, tokens, tensors=None):
    """Logits (B, T, V), float64, of a model folder of type "moult" for tokens (B, T); with `tensors` instead of the
    folder's own parameters where they are given."""
    config = json.loads((Path(folder) / "config.json").read_text())
    tensors = parameters(folder) if tensors is None else tensors
    return torch.stack([_sequence(config, tensors, row) for row in tokens])


def _sequence(config, tensors, tokens):
    epsilon = config["rms_norm_eps"]
    x = tensors["model.embed_tokens.weight"][tokens]
    for index, kind in enumerate(config["moult"]["layers"]):
        prefix = f"model.layers.{index}."
        layer = {name[len(prefix):]: value for name, value in tensors.items() if name.startswith(prefix)}
        x = x + _mixer(config, layer, kind, rms_norm(x, layer["input_layernorm.weight"], epsilon))
        y = rms_norm(x, layer["post_attention_layernorm.weight"], epsilon)
        y = F.silu(y @ layer["mlp.gate_proj.weight"].T) * (y @ layer["mlp.up_proj.weight"].T)
        x = x + y @ layer["mlp.down_proj.weight"].T
    head = tensors.get("lm_head.weight", tensors["model.embed_tokens.weight"])
    return rms_norm(x, tensors["model.norm.weight"], epsilon) @ head.T


def _mixer(config, layer, kind, x):
    length, dim = x.shape[0], config["head_dim"]
    q, k, v = (
        (x @ layer[f"self_attn.{name}_proj.weight"].T).reshape(length, -1, dim) for name in ("q", "k", "v")
    )
    turned = rotate(q, config["rope_theta"]), rotate(k, config["rope_theta"])
    if kind == "attention":
        out = softmax_attention(*turned, v)
    else:
        if kind == "gsa":
            gate = F.linear(x, layer["self_attn.gate_proj.weight"], layer["self_attn.gate_proj.bias"])
            log_gate = F.logsigmoid(gate).reshape(length, -1, config["moult"]["gsa"]["slots"]) / memories.DIVISOR
            out = gated_slot_attention(*turned, v, log_gate, 1 / math.sqrt(dim))
        else:
            memory, is_turned = memories.ALL[kind]
            out = memory(x, *(turned if is_turned else (q, k)), v, layer)
        if config["moult"][kind]["window"]:
            mix = F.linear(x, layer["self_attn.window_proj.weight"], layer["self_attn.window_proj.bias"])
            mix = mix.sigmoid()[..., None]
            out = mix * softmax_attention(*turned, v, config["moult"][kind]["window"]) + (1 - mix) * out
    return out.reshape(length, -1) @ layer["self_attn.o_proj.weight"].T
