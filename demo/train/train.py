"""Trains tokenizer and weights on one CPU core: python train.py [DATA_DIR] [WEIGHTS]. Leaves tokenizer.json and weights.npz there.

Given the weights of an earlier run, it goes on from them and keeps the tokenizer which lies in DATA_DIR.
"""

import os

os.environ.setdefault("NPROC", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import json
import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax

import batches
import model
from tokenizers import Tokenizer

from tokenizer import train_tokenizer

SEED = 7
STEPS = 6000
MINUTES = float(os.environ.get("MINUTES", 29))  # on a busy machine the schedule ends by the clock
PEAK_RATE = float(os.environ.get("PEAK_RATE", 2.5e-3))
TOKENS_PER_STEP = 1024
LONG_FROM = 0.9  # the last part of the training adds rows of 512 tokens, for long chats


def read(path):
    return [json.loads(line) for line in open(path)]


def row_sets(data, tokenizer, rng):
    """Rows of 128 and 256 tokens of the usual chats, and of 512 tokens of the long ones."""
    chats = batches.encode(read(data / "short.jsonl"), tokenizer)
    small = [chat for chat in chats if len(chat[0]) <= 129]
    middle = [chat for chat in chats if 129 < len(chat[0]) <= 257]
    long = [chat for chat in batches.encode(read(data / "long.jsonl"), tokenizer) if len(chat[0]) <= 513]
    return {length: batches.pack(part, length, rng) for length, part in [(128, small), (256, middle), (512, long)]}


def endless(rows, length, rng):
    while True:
        yield from batches.batches(rows, TOKENS_PER_STEP // length, rng)


def next_length(sets, progress, rng):
    """Which row length a step takes: by their shares of the tokens, long rows only near the end."""
    if progress > LONG_FROM and rng.random() < 0.35:
        return 512
    sizes = {length: sets[length]["tokens"].size for length in (128, 256)}
    return 256 if rng.random() < sizes[256] / sum(sizes.values()) else 128


def learning_rate(step, progress):
    """A short warm-up, then half a cosine down to nearly nothing."""
    return PEAK_RATE * min(1.0, step / 80) * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * progress)))


def make_step(optimizer):
    @jax.jit
    def step(params, state, batch, rate):
        loss, gradients = jax.value_and_grad(model.weighted_loss)(params, batch)
        updates, state = optimizer.update(gradients, state, params)
        updates = jax.tree_util.tree_map(lambda update: -rate * update, updates)
        return optax.apply_updates(params, updates), state, loss

    return step


def make_optimizer():
    matrices = lambda params: jax.tree_util.tree_map(lambda leaf: leaf.ndim == 2, params)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(b2=0.98), optax.add_decayed_weights(0.05, matrices))


def save(path, params):
    flat = {"embed": params["embed"], "norm": params["norm"]}
    for i, layer in enumerate(params["layers"]):
        flat.update({f"layers.{i}.{name}": value for name, value in layer.items()})
    np.savez(path, **{name: np.asarray(value) for name, value in flat.items()})


def load(path):
    flat = dict(np.load(path))
    layers = [{name.split(".")[2]: jax.numpy.asarray(value) for name, value in flat.items() if name.startswith(f"layers.{i}.")} for i in range(model.LAYERS)]
    return {"embed": jax.numpy.asarray(flat["embed"]), "layers": layers, "norm": jax.numpy.asarray(flat["norm"])}


def main():
    data = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "build")
    rng = np.random.default_rng(SEED)
    start = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    if start:
        tokenizer = Tokenizer.from_file(str(data / "tokenizer.json"))
    else:
        tokenizer = train_tokenizer(read(data / "short.jsonl")[:30_000])
        tokenizer.save(str(data / "tokenizer.json"))
    sets = row_sets(data, tokenizer, rng)
    print({length: rows["tokens"].shape for length, rows in sets.items()}, flush=True)
    params, optimizer = load(start) if start else model.init_params(SEED), make_optimizer()
    state, step = optimizer.init(params), make_step(optimizer)
    print("parameters:", model.count_params(params), flush=True)
    source = {length: endless(rows, length, rng) for length, rows in sets.items()}
    began, losses, number, progress = time.time(), [], 0, 0.0
    while progress < 1:
        number += 1
        progress = max(number / STEPS, (time.time() - began) / 60 / MINUTES)
        batch = next(source[next_length(sets, progress, rng)])
        params, state, loss = step(params, state, batch, learning_rate(number, min(progress, 1)))
        losses.append(float(loss))
        if number % 100 == 0:
            speed = number * TOKENS_PER_STEP / (time.time() - began)
            print(f"step {number} loss {np.mean(losses[-100:]):.4f} tokens/s {speed:.0f} minutes {(time.time() - began) / 60:.1f}", flush=True)
        if number % 500 == 0 or progress >= 1:
            save(data / "weights.npz", params)


if __name__ == "__main__":
    main()
