"""Trains tokenizer and weights on one CPU core: python train.py [DATA_DIR]. Leaves tokenizer.json and weights.npz there."""

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
from tokenizer import train_tokenizer

SEED = 7
STEPS = int(os.environ.get("STEPS", 4200))
PEAK_RATE = 3e-3
TOKENS_PER_STEP = 2048
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


def schedule_of_lengths(sets, rng):
    """Which row length each step takes: by their shares of the tokens, long rows only near the end."""
    sizes = {length: sets[length]["tokens"].size for length in (128, 256)}
    share = sizes[256] / (sizes[128] + sizes[256])
    for step in range(STEPS):
        if step > LONG_FROM * STEPS and rng.random() < 0.35:
            yield 512
        else:
            yield 256 if rng.random() < share else 128


def make_step(optimizer):
    @jax.jit
    def step(params, state, batch):
        loss, gradients = jax.value_and_grad(model.weighted_loss)(params, batch)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, loss

    return step


def make_optimizer():
    rate = optax.warmup_cosine_decay_schedule(0, PEAK_RATE, 100, STEPS, PEAK_RATE * 0.01)
    matrices = lambda params: jax.tree_util.tree_map(lambda leaf: leaf.ndim == 2, params)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.98, weight_decay=0.05, mask=matrices))


def save(path, params):
    flat = {"embed": params["embed"], "norm": params["norm"]}
    for i, layer in enumerate(params["layers"]):
        flat.update({f"layers.{i}.{name}": value for name, value in layer.items()})
    np.savez(path, **{name: np.asarray(value) for name, value in flat.items()})


def main():
    data = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "build")
    rng = np.random.default_rng(SEED)
    tokenizer = train_tokenizer(read(data / "short.jsonl")[:30_000])
    tokenizer.save(str(data / "tokenizer.json"))
    sets = row_sets(data, tokenizer, rng)
    print({length: rows["tokens"].shape for length, rows in sets.items()}, flush=True)
    params, optimizer = model.init_params(SEED), make_optimizer()
    state, step = optimizer.init(params), make_step(optimizer)
    print("parameters:", model.count_params(params), flush=True)
    source = {length: endless(rows, length, rng) for length, rows in sets.items()}
    began, losses = time.time(), []
    for number, length in enumerate(schedule_of_lengths(sets, rng), 1):
        params, state, loss = step(params, state, next(source[length]))
        losses.append(float(loss))
        if number % 100 == 0:
            speed = number * TOKENS_PER_STEP / (time.time() - began)
            print(f"step {number} loss {np.mean(losses[-100:]):.4f} tokens/s {speed:.0f} minutes {(time.time() - began) / 60:.1f}", flush=True)
        if number % 500 == 0 or number == STEPS:
            save(data / "weights.npz", params)


if __name__ == "__main__":
    main()
