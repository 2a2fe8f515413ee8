"""Runs flash-linear-attention's GSA models on the CPU.

flash-linear-attention computes with Triton kernels, which need a GPU. `patch()` replaces those that
`GSAForCausalLM` calls with plain torch, so that its own configuration, parameters and model code can serve as an oracle
anywhere. The recurrence becomes the package's own naive oracle, `fla.ops.gsa.naive`.
"""

import importlib

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


def patch():
    """Replaces the Triton kernels behind `fla.models.gsa` with torch, for this process."""
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
        "fla.layers.attn": {"flash_attn_func": _flash_attention},
    }
    for name, functions in replacements.items():
        module = importlib.import_module(name)
        for function, replacement in functions.items():
            if not hasattr(module, function):
                raise RuntimeError(f"{name} has no {function}: this version of flash-linear-attention is not known")
            setattr(module, function, replacement)
    importlib.import_module("fla.modules.rotary").RotaryEmbedding.forward = _rotary


def causal_lm(folder=None, **config):
    """fla's GSAForCausalLM on the CPU in float32: loaded from `folder`, or new from configuration keys."""
    patch()
    from fla.models.gsa import GSAConfig, GSAForCausalLM

    if folder is not None:
        return GSAForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return GSAForCausalLM(GSAConfig(**config)).float().eval()


def logits(model, tokens):
    """Logits (B, T, V) in float32 for tokens (B, T)."""
    with torch.no_grad():
        return model(tokens, use_cache=False).logits.float()
