"""A PyTorch peer of Moult's training step: the converted Llama with flash-linear-attention's chunk_gsa.

    python3 Benchmarks/gpu/peer.py STAGE STUDENT TEACHER TOKENS.npy SEQUENCES LENGTH STEPS CONFIGURATIONS

It reads the parameters of folders that `moult convert` wrote and prints the record of every step as a line of JSON. STAGE
is "finetune" (cross-entropy) or "distil" (KL(teacher ‖ student)); docs/recipe.md has the equations. Parameters are float32,
products bfloat16 by autocast, AdamW is PyTorch's fused one. Run by training.py.
"""

import json
import sys
import time
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


def rotate(x, theta):
    """Rotary positions in the two-halves layout; x (B, T, H, K)."""
    half = x.shape[-1] // 2
    frequencies = theta ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angles = torch.outer(torch.arange(x.shape[1], device=x.device, dtype=torch.float32), frequencies)[:, None]
    cosines, sines = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.chunk(2, -1)
    return torch.cat((a * cosines - b * sines, b * cosines + a * sines), -1)


def window_attention(q, k, v, width):
    """Attention over the last `width` tokens, in blocks of as many queries and twice as many keys; q (B, T, H, K),
    k, v (B, T, N, K), T a multiple of `width`."""
    B, T, H, K = q.shape
    blocks, group = T // width, H // k.shape[2]

    def keys(x):
        x = F.pad(x.repeat_interleave(group, 2), (0, 0, 0, 0, width, 0)).unflatten(1, (blocks + 1, width))
        return torch.cat((x[:, :-1], x[:, 1:]), 2).flatten(0, 1).transpose(1, 2)

    query, key = torch.arange(width, device=q.device)[:, None], torch.arange(-width, width, device=q.device)
    visible = (key <= query) & (key > query - width)
    # Before the first token there is nothing.
    exists = (key >= 0) | (torch.arange(blocks, device=q.device)[:, None] > 0)
    mask = (visible & exists[:, None]).repeat(B, 1, 1)[:, None]
    q = q.reshape(B * blocks, width, H, K).transpose(1, 2)
    o = F.scaled_dot_product_attention(q, keys(k), keys(v), attn_mask=mask)
    return o.transpose(1, 2).reshape(B, T, H, K)


class RMSNorm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(width)), epsilon

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight.to(x.dtype), self.epsilon)


class Mixer(nn.Module):
    def __init__(self, config, kind, gsa):
        super().__init__()
        self.dim, self.theta, self.kind, self.gsa = config["head_dim"], config["rope_theta"], kind, gsa
        width, heads, groups = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
        self.q_proj, self.o_proj = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(width, groups * self.dim, bias=False) for _ in range(2))
        if kind == "gsa":
            self.slots, self.window = config["moult"]["gsa"]["slots"], config["moult"]["gsa"]["window"]
            self.gate_proj, self.window_proj = nn.Linear(width, groups * self.slots), nn.Linear(width, heads)

    def forward(self, x):
        q, k, v = (map_(x).unflatten(-1, (-1, self.dim)) for map_ in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotate(q, self.theta), rotate(k, self.theta)
        if self.kind == "attention":
            q, k, v = (y.transpose(1, 2) for y in (q, k, v))
            o = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2)
        else:
            gates = F.logsigmoid(self.gate_proj(x).float()).unflatten(-1, (-1, self.slots)) / 8
            o, _ = self.gsa(q, k, v, -torch.expm1(gates).to(q.dtype), gates.to(q.dtype), scale=self.dim**-0.5)
            share = torch.sigmoid(self.window_proj(x))[..., None]
            o = share * window_attention(q, k, v, self.window) + (1 - share) * o
        return self.o_proj(o.flatten(2))


class MLP(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(width, inner, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config, kind, gsa):
        super().__init__()
        width, epsilon = config["hidden_size"], config["rms_norm_eps"]
        self.input_layernorm, self.post_attention_layernorm = (RMSNorm(width, epsilon) for _ in range(2))
        self.self_attn, self.mlp = Mixer(config, kind, gsa), MLP(width, config["intermediate_size"])

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """A model folder of Moult's, with tied embeddings; `gsa` computes Gated Slot Attention."""

    def __init__(self, folder, gsa=None):
        super().__init__()
        config = json.loads((Path(folder) / "config.json").read_text())
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config, kind, gsa) for kind in config["moult"]["layers"])
        self.norm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        tensors = load_file(Path(folder) / "model.safetensors")
        self.load_state_dict({name.removeprefix("model."): x.float() for name, x in tensors.items()})

    def forward(self, ids):
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return F.linear(self.norm(x), self.embed_tokens.weight)


def divergence(student, teacher):
    """KL(teacher ‖ student) per token, a few rows at a time."""
    total = sum(F.kl_div(a.float().log_softmax(-1), b.float().log_softmax(-1), log_target=True, reduction="sum")
                for a, b in zip(student.split(8), teacher.split(8)))
    return total / student[..., 0].numel()


def train(stage, student, teacher, rows):
    """Trains on batches (B, T + 1), yielding the record of each."""
    rate = {"finetune": 3e-5, "distil": 1e-4}[stage]
    parameters = list(student.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    for batch in rows:
        start = time.perf_counter()
        inputs, targets = batch[:, :-1].contiguous(), batch[:, 1:]
        with torch.autocast(batch.device.type, torch.bfloat16):
            logits = student(inputs)
            if stage == "distil":
                with torch.no_grad():
                    target = teacher(inputs)
                loss = divergence(logits, target)
            else:
                loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        record = {"loss": loss.item(), "gradient_norm": norm.item()}
        yield record | {"tokens_per_second": inputs.numel() / (time.perf_counter() - start)}


def main(stage, student, teacher, tokens, sequences, length, steps, configurations):
    from flash_linear_attention import bound_configurations
    bound_configurations(int(configurations))
    from fla.ops.gsa import chunk_gsa

    length, sequences = int(length), int(sequences)
    tokens = torch.from_numpy(numpy.load(tokens).astype(numpy.int64)).cuda()
    count = (len(tokens) - 1) // length
    torch.manual_seed(0)

    def batches():
        for _ in range(int(steps)):
            firsts = torch.randint(count, (sequences,), device="cuda") * length
            yield tokens[firsts[:, None] + torch.arange(length + 1, device="cuda")]

    student = Decoder(student, chunk_gsa).cuda()
    teacher = Decoder(teacher).cuda().bfloat16().requires_grad_(False) if stage == "distil" else None
    for record in train(stage, student, teacher, batches()):
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
