"""Turns chats into rows of tokens: several chats to a row, each its own segment, weights on what the assistant says."""

import numpy as np

from tokenizer import IM_END, IM_START

OTHER_WEIGHT = 0.1  # for tokens which the model reads rather than writes


def assistant_weights(ids, tokenizer):
    """One weight for each token as a target: 1 inside an assistant message, its end marker included."""
    start, end = tokenizer.token_to_id(IM_START), tokenizer.token_to_id(IM_END)
    header = [start] + tokenizer.encode("assistant\n").ids
    if start not in ids:
        return [1.0] * len(ids)
    weights, inside = [], False
    for i, token in enumerate(ids):
        weights.append(1.0 if inside else OTHER_WEIGHT)
        if inside and token == end:
            inside = False
        elif ids[i - len(header) + 1:i + 1] == header:
            inside = True
    return weights


def encode(texts, tokenizer):
    return [(item.ids, assistant_weights(item.ids, tokenizer)) for item in tokenizer.encode_batch(texts)]


def pack(chats, length, rng):
    """Rows of length + 1 tokens; each chat goes to the first of a few open rows with room for it."""
    rows, open_rows = [], []
    for i in rng.permutation(len(chats)):
        ids, weights = chats[i]
        row = next((row for row in open_rows if len(row["ids"]) + len(ids) <= length + 1), None)
        if row is None:
            row = {"ids": [], "weights": [], "segments": []}
            open_rows = open_rows[-15:] + [row]
            rows.append(row)
        row["segments"] += [row["segments"][-1] + 1 if row["segments"] else 1] * len(ids)
        row["ids"] += ids
        row["weights"] += weights
    return as_arrays(rows, length + 1)


def as_arrays(rows, width):
    arrays = {"ids": np.zeros((len(rows), width), np.int32), "segments": np.zeros((len(rows), width), np.int32), "weights": np.zeros((len(rows), width), np.float32)}
    for i, row in enumerate(rows):
        for name, array in arrays.items():
            array[i, :len(row[name])] = row[name]
    same = arrays["segments"][:, 1:] == arrays["segments"][:, :-1]
    return {"tokens": arrays["ids"][:, :-1], "targets": arrays["ids"][:, 1:], "segments": arrays["segments"][:, :-1], "weights": arrays["weights"][:, 1:] * same}


def batches(rows, size, rng):
    order = rng.permutation(len(rows["tokens"]))
    for at in range(0, len(order) - size + 1, size):
        yield {name: array[order[at:at + size]] for name, array in rows.items()}
