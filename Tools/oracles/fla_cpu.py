"""Runs flash-linear-attention's models on the CPU: those of gsa, gla, retnet, gated_deltanet, kda, mamba2 and hgrn2.

flash-linear-attention computes with Triton kernels, which need a GPU. `patch()` replaces those that its models call with
plain torch, so that its own configuration, parameters and model code can serve as an oracle anywhere. The recurrences become
the package's own naive oracles, `fla.ops.*.naive`; that of Mamba-2 is written here, for the package's own without kernels
gives heads the wrong group where there is more than one.
"""

import importlib
import json
from pathlib import Path

import torch
import torch.nn.functional as F

# `rms_norm_linear` is called without an epsilon inside the GSA layer: the output norm uses this one, always,
# whatever `norm_eps` the configuration holds.
OUTPUT_NORM_EPSILON = 1e-5


def _rms_norm(x, weight, bias=None, residual=None, eps=1e-5, prenorm=False, residual_in_fp32=False):
    if residual is not None:
        x = x + residual
    y = F.rms_norm(x, (x.shape[-1],), weight, eps)
    if bias is not None:
        y = y + bias
    return (y, x) if prenorm else y


def _rms_norm_linear(x, norm_weight, norm_bias, weight, bias, residual=None, eps=OUTPUT_NORM_EPSILON, **_):
    return F.linear(_rms_norm(x, norm_weight, norm_bias, residual, eps), weight, bias)


def _gsa(q, k, v, s, g, scale=None, initial_state=None, output_final_state=False, cu_seqlens=None, **_):
    if cu_seqlens is not None:
        raise NotImplementedError("the CPU patch of flash-linear-attention does not handle packed sequences")
    from fla.ops.gsa.naive import naive_recurrent_gsa

    return naive_recurrent_gsa(q, k, v, s, g, scale, initial_state, output_final_state)


def _rotary(self, q, k, seqlen_offset=0, cu_seqlens=None, max_seqlen=None, **_):
    if cu_seqlens is not None or self.interleaved or self.scale_base is not None:
        raise NotImplementedError("the CPU patch of flash-linear-attention handles plain rotary embeddings only")
    dim = q.shape[-1]
    frequency = 1.0 / (self.base ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
    angle = torch.outer(torch.arange(seqlen_offset, seqlen_offset + q.shape[1], dtype=torch.float32), frequency)
    cos, sin = angle.cos()[None, :, None], angle.sin()[None, :, None]

    def rotate(x):
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)

    return rotate(q), rotate(k)


def _flash_attention(q, k, v, causal=True, window_size=(-1, -1), **_):
    queries, keys = torch.arange(q.shape[1])[:, None], torch.arange(k.shape[1])[None]
    mask = keys <= queries
    if window_size[0] >= 0:
        mask &= queries - keys <= window_size[0]
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True).transpose(1, 2)


def _repeated(x, heads):
    return x.repeat_interleave(heads // x.shape[2], dim=2)


def _gla(q, k, v, gk=None, g=None, **_):
    from fla.ops.gla.naive import naive_recurrent_gla

    return naive_recurrent_gla(q, k, v, gk if g is None else g)


def _retention(q, k, v, **_):
    from fla.ops.retention.naive import naive_retention

    return naive_retention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2), None


def _unit(x):
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def _gated_delta(q, k, v, g, beta, A_log, dt_bias, allow_neg_eigval=False, **_):
    from fla.ops.gated_delta_rule.naive import naive_recurrent_gated_delta_rule

    q, k = (_repeated(_unit(x), v.shape[2]) for x in (q, k))
    decay = -A_log.exp() * F.softplus(g + dt_bias)
    read, _ = naive_recurrent_gated_delta_rule(q, k, v, beta.sigmoid() * (2 if allow_neg_eigval else 1), decay)
    return read.to(v.dtype), None


def _kda(q, k, v, g, beta, A_log, dt_bias, allow_neg_eigval=False, lower_bound=None, **_):
    from fla.ops.kda.gate import naive_kda_gate, naive_kda_lowerbound_gate
    from fla.ops.kda.naive import naive_recurrent_kda

    decay = naive_kda_gate(g, A_log, dt_bias) if lower_bound is None else \
        naive_kda_lowerbound_gate(g, A_log, dt_bias, lower_bound)
    return naive_recurrent_kda(_unit(q), _unit(k), v, decay, beta.sigmoid() * (2 if allow_neg_eigval else 1))


def _short_convolution(x, weight, bias=None, activation=None, **_):
    """x (B, T, D) and weight (D, W), the token itself having the last."""
    width = weight.shape[1]
    padded = F.pad(x, (0, 0, width - 1, 0))
    y = sum(padded[:, j:j + x.shape[1]] * weight[:, j] for j in range(width))
    y = y if bias is None else y + bias
    return (F.silu(y) if activation in ("silu", "swish") else y), None


def _short_convolution_module(self, x, **_):
    return _short_convolution(x, self.weight.squeeze(1), self.bias, self.activation)


def _gated_norm(self, x, g, residual=None, prenorm=False, residual_in_fp32=False):
    gate = torch.sigmoid(g) if self.activation == "sigmoid" else F.silu(g)
    return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps) * gate


def _mamba2(self, x, last_state=None, use_cache=False, attention_mask=None):
    if last_state is not None:
        raise NotImplementedError("the CPU patch of flash-linear-attention does not go on with a Mamba-2 state")
    batch, length, _ = x.shape
    shared = self.n_groups * self.ssm_state_size
    z, xbc, dt = self.in_proj(x).split([self.intermediate_size, self.conv_dim, self.num_heads], dim=-1)
    xbc, _ = _short_convolution(xbc, self.conv1d.weight.squeeze(1), self.conv1d.bias, self.activation)
    x, b, c = xbc.split([self.intermediate_size, shared, shared], dim=-1)
    x = x.reshape(batch, length, self.num_heads, self.head_dim)
    b, c = (_repeated(part.reshape(batch, length, self.n_groups, -1), self.num_heads) for part in (b, c))
    dt = F.softplus(dt + self.dt_bias).clamp(*self.dt_limit)
    state, outputs = 0, []
    for t in range(length):
        step = dt[:, t, :, None, None]
        state = (-self.A_log.exp()[:, None, None] * step).exp() * state + \
            step * b[:, t, :, :, None] * x[:, t, :, None]
        outputs.append((c[:, t, :, :, None] * state).sum(-2))
    y = torch.stack(outputs, dim=1) + self._get_D(expand_to_head_dim=True) * x
    y = y.reshape(batch, length, -1)
    y = self.norm(y, z) if self.rmsnorm else y * F.silu(z)
    return self.out_proj(y), None, None


def _gated_group_norm(x, weight, bias=None, z=None, eps=1e-6, group_size=None, norm_before_gate=True, **_):
    x = x if norm_before_gate else x * F.silu(z)
    groups = x.unflatten(-1, (-1, group_size or x.shape[-1]))
    y = F.rms_norm(groups, groups.shape[-1:], None, eps).flatten(-2) * weight
    return y * F.silu(z) if norm_before_gate else y


def patch():
    """Replaces the Triton kernels behind these models with torch, for this process."""
    replacements = {
        "fla.modules.norm.layernorm": {"rms_norm": _rms_norm},
        "fla.modules.feature_map": {"swish": F.silu},
        "fla.modules.mlp": {
            "swiglu": lambda x, y: F.silu(x) * y,
            "swiglu_linear": lambda x, y, weight, bias: F.linear(F.silu(x) * y, weight, bias),
        },
        "fla.layers.gsa": {
            "chunk_gsa": _gsa,
            "fused_recurrent_gsa": _gsa,
            "rms_norm_linear": _rms_norm_linear,
        },
        "fla.layers.gla": {"chunk_gla": _gla, "fused_recurrent_gla": _gla},
        "fla.layers.hgrn2": {
            "chunk_gla": _gla, "fused_recurrent_gla": _gla, "swish": F.silu, "rms_norm_linear": _rms_norm_linear,
        },
        "fla.layers.multiscale_retention": {"chunk_retention": _retention, "fused_recurrent_retention": _retention},
        "fla.layers.gated_deltanet": {
            "chunk_gated_delta_rule": _gated_delta, "fused_recurrent_gated_delta_rule": _gated_delta,
            "causal_conv1d": _short_convolution,
        },
        "fla.layers.kda": {"chunk_kda": _kda, "fused_recurrent_kda": _kda},
        "fla.modules.norm.layernorm_gated": {"rmsnorm_fn": _gated_group_norm},
        "fla.layers.attn": {"flash_attn_func": _flash_attention},
    }
    for name, functions in replacements.items():
        module = importlib.import_module(name)
        for function, replacement in functions.items():
            if not hasattr(module, function):
                raise RuntimeError(f"{name} has no {function}: this version of flash-linear-attention is not known")
            setattr(module, function, replacement)
    importlib.import_module("fla.modules.rotary").RotaryEmbedding.forward = _rotary
    importlib.import_module("fla.modules.activations").ACT2FN |= {"swish": F.silu, "silu": F.silu}
    modules = importlib.import_module("fla.modules")
    modules.FusedRMSNormGated.forward = _gated_norm
    modules.ShortConvolution.forward = _short_convolution_module
    importlib.import_module("fla.layers.mamba2").Mamba2.torch_forward = _mamba2


# The classes of each model type.
CLASSES = {"gsa": "GSA", "gla": "GLA", "retnet": "RetNet", "gated_deltanet": "GatedDeltaNet", "kda": "KDA",
           "mamba2": "Mamba2", "hgrn2": "HGRN2"}


def causal_lm(folder=None, model_type="gsa", **config):
    """fla's model for causal language modelling on the CPU in float32: loaded from `folder`, or new from configuration keys."""
    patch()
    if folder is not None:
        model_type = json.loads((Path(folder) / "config.json").read_text())["model_type"]
    module = importlib.import_module(f"fla.models.{model_type}")
    model = getattr(module, CLASSES[model_type] + "ForCausalLM")
    if folder is not None:
        return model.from_pretrained(folder, dtype=torch.float32).eval()
    return model(getattr(module, CLASSES[model_type] + "Config")(**config)).float().eval()


def logits(model, tokens):
    """Logits (B, T, V) in float32 for tokens (B, T)."""
    with torch.no_grad():
        return model(tokens, use_cache=False).logits.float()
