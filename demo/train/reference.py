"""The exported folder run by NumPy alone, in float32 on its bfloat16 weights: a second implementation to check against."""

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer


def read_safetensors(path):
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header, body = json.loads(raw[8:8 + size]), raw[8 + size:]
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            bits = np.frombuffer(body[begin:end], np.uint16).astype(np.uint32) << 16
            tensors[name] = bits.view(np.float32).reshape(entry["shape"])
    return tensors


def rms_norm(x, weight, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(epsilon)) * weight


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


class Llama:
    def __init__(self, folder):
        folder = Path(folder)
        self.config = json.loads((folder / "config.json").read_text())
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.stop_ids = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
        self.weights = read_safetensors(folder / "model.safetensors")
        self.reset()

    def reset(self):
        self.length = 0
        self.cache = [None] * self.config["num_hidden_layers"]

    def rotate(self, x, positions):
        half = x.shape[-1] // 2
        angles = positions[:, None] * self.config["rope_theta"] ** (-np.arange(half) / half)[None]
        cos, sin = np.cos(angles).astype(np.float32)[:, None], np.sin(angles).astype(np.float32)[:, None]
        first, second = x[..., :half], x[..., half:]
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], -1)

    def attention(self, layer, x, positions):
        heads, kv_heads, size = self.config["num_attention_heads"], self.config["num_key_value_heads"], self.config["head_dim"]
        project = lambda name, count: (x @ self.weights[f"model.layers.{layer}.self_attn.{name}_proj.weight"].T).reshape(len(x), count, size)
        query = self.rotate(project("q", heads), positions)
        key, value = self.rotate(project("k", kv_heads), positions), project("v", kv_heads)
        if self.cache[layer] is not None:
            key, value = (np.concatenate([old, new]) for old, new in zip(self.cache[layer], (key, value)))
        self.cache[layer] = (key, value)
        out = np.empty_like(query)
        for head in range(heads):
            group = head // (heads // kv_heads)
            scores = query[:, head] @ key[:, group].T / np.sqrt(np.float32(size))
            scores = np.where(np.arange(len(key))[None] <= positions[:, None], scores, -np.inf)
            out[:, head] = softmax(scores) @ value[:, group]
        return out.reshape(len(x), -1) @ self.weights[f"model.layers.{layer}.self_attn.o_proj.weight"].T

    def mlp(self, layer, x):
        gate, up, down = (self.weights[f"model.layers.{layer}.mlp.{name}_proj.weight"] for name in ("gate", "up", "down"))
        gated = x @ gate.T
        return (gated / (1 + np.exp(-gated)) * (x @ up.T)) @ down.T

    def logits(self, ids):
        """Scores of the token after ids, which follow what the cache already holds."""
        epsilon, weights = self.config["rms_norm_eps"], self.weights
        positions = np.arange(self.length, self.length + len(ids))
        x = weights["model.embed_tokens.weight"][ids]
        for layer in range(self.config["num_hidden_layers"]):
            x = x + self.attention(layer, rms_norm(x, weights[f"model.layers.{layer}.input_layernorm.weight"], epsilon), positions)
            x = x + self.mlp(layer, rms_norm(x, weights[f"model.layers.{layer}.post_attention_layernorm.weight"], epsilon))
        self.length += len(ids)
        return rms_norm(x[-1], weights["model.norm.weight"], epsilon) @ weights["model.embed_tokens.weight"].T

    def generate(self, prompt, limit=120):
        """Greedy ids after a prompt, its stop token included, and the smallest gap between the best two scores."""
        self.reset()
        ids, made, gap = self.tokenizer.encode(prompt).ids, [], np.inf
        scores = self.logits(ids)
        while len(made) < limit:
            second, best = np.partition(scores, -2)[-2:]
            gap = min(gap, float(best - second))
            made.append(int(scores.argmax()))
            if made[-1] in self.stop_ids:
                break
            scores = self.logits(made[-1:])
        return made, gap

    def answer(self, prompt):
        return self.tokenizer.decode(self.generate(prompt)[0], skip_special_tokens=True)
