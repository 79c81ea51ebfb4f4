#!/usr/bin/env python3
"""Writes a GGUF file with random weights for a config.json, for engines that read no other format.

    bench/write_gguf.py bench/models/Llama-3.2-1B.json OUT.gguf [--dtype bf16|f16] [--seed 0]

Weights are N(0, 0.02), norms are ones, biases 0; the tokenizer is word_vocabulary.py's. Needs numpy. Format: the GGUF
specification of ggml (docs/gguf.md), version 3.
"""
import argparse
import json
import struct
import sys

from word_vocabulary import vocabulary

ALIGNMENT = 32
SIGMA = 0.02
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}  # of GGUF, by model_type
TENSOR_TYPES = {"f32": 0, "f16": 1, "bf16": 30}  # ggml_type
FILE_TYPES = {"f16": 1, "bf16": 32}              # llama_ftype
# gguf_metadata_value_type
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def array(kind, values):
    if kind == STRING:
        body = b"".join(map(text, values))
    else:
        body = struct.pack(f"<{len(values)}{'f' if kind == FLOAT32 else 'i'}", *values)
    return struct.pack("<IQ", kind, len(values)) + body


def metadata(config, dtype):
    arch = ARCHITECTURES[config["model_type"]]
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    size = config["vocab_size"]
    tokens, types = zip(*vocabulary(size))
    items = [("general.architecture", STRING, arch), ("general.name", STRING, "random weights"),
             ("general.file_type", UINT32, FILE_TYPES[dtype]), ("general.alignment", UINT32, ALIGNMENT)]
    for key, kind, value in [("context_length", UINT32, config["max_position_embeddings"]),
                             ("embedding_length", UINT32, config["hidden_size"]),
                             ("block_count", UINT32, config["num_hidden_layers"]),
                             ("feed_forward_length", UINT32, config["intermediate_size"]),
                             ("attention.head_count", UINT32, heads),
                             ("attention.head_count_kv", UINT32, config.get("num_key_value_heads") or heads),
                             ("attention.key_length", UINT32, head_dim), ("attention.value_length", UINT32, head_dim),
                             ("attention.layer_norm_rms_epsilon", FLOAT32, config["rms_norm_eps"]),
                             ("rope.dimension_count", UINT32, head_dim),
                             ("rope.freq_base", FLOAT32, config.get("rope_theta", 10000.0)),
                             ("vocab_size", UINT32, config["vocab_size"])]:
        items.append((f"{arch}.{key}", kind, value))
    items += [("tokenizer.ggml.model", STRING, "llama"), ("tokenizer.ggml.pre", STRING, "default"),
              ("tokenizer.ggml.tokens", ARRAY, array(STRING, tokens)),
              ("tokenizer.ggml.scores", ARRAY, array(FLOAT32, [-float(i) for i in range(size)])),
              ("tokenizer.ggml.token_type", ARRAY, array(INT32, types)),
              ("tokenizer.ggml.bos_token_id", UINT32, 1), ("tokenizer.ggml.eos_token_id", UINT32, 2),
              ("tokenizer.ggml.unknown_token_id", UINT32, 0), ("tokenizer.ggml.add_bos_token", BOOL, True),
              ("tokenizer.ggml.add_space_prefix", BOOL, True)]
    return items


def tensors(config):
    """(name, shape as [out, in]) of all weights; a vector is a norm or, by its name, a bias."""
    hidden, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    q_size, kv_size = heads * head_dim, (config.get("num_key_value_heads") or heads) * head_dim
    yield "token_embd.weight", (config["vocab_size"], hidden)
    yield "output_norm.weight", (hidden,)
    if not config.get("tie_word_embeddings"):
        yield "output.weight", (config["vocab_size"], hidden)
    for i in range(config["num_hidden_layers"]):
        block = f"blk.{i}."
        yield block + "attn_norm.weight", (hidden,)
        for name, size in [("q", q_size), ("k", kv_size), ("v", kv_size)]:
            yield f"{block}attn_{name}.weight", (size, hidden)
            if config["model_type"] == "qwen2":
                yield f"{block}attn_{name}.bias", (size,)
        if config["model_type"] == "qwen3":
            yield block + "attn_q_norm.weight", (head_dim,)
            yield block + "attn_k_norm.weight", (head_dim,)
        yield block + "attn_output.weight", (hidden, q_size)
        yield block + "ffn_norm.weight", (hidden,)
        yield block + "ffn_gate.weight", (inner, hidden)
        yield block + "ffn_up.weight", (inner, hidden)
        yield block + "ffn_down.weight", (hidden, inner)


def header(config, dtype):
    listed, out, offset = list(tensors(config)), [], 0
    items = metadata(config, dtype)
    out.append(b"GGUF" + struct.pack("<IQQ", 3, len(listed), len(items)))
    for key, kind, value in items:
        if kind == STRING:
            packed = text(value)
        else:
            packed = value if kind == ARRAY else struct.pack({UINT32: "<I", FLOAT32: "<f", BOOL: "<?"}[kind], value)
        out.append(text(key) + struct.pack("<I", kind) + packed)
    for name, shape in listed:
        kind = dtype if len(shape) == 2 else "f32"
        out.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), TENSOR_TYPES[kind],
                                            offset))
        size = shape[0] * (shape[1] * 2 if len(shape) == 2 else 4)
        offset += -(-size // ALIGNMENT) * ALIGNMENT
    return b"".join(out), listed


def numbers(random, count, dtype, numpy):
    """`count` random numbers as bytes, some million at a time."""
    for begin in range(0, count, 1 << 22):
        values = random.standard_normal(min(1 << 22, count - begin), dtype=numpy.float32) * numpy.float32(SIGMA)
        if dtype == "f16":
            yield values.astype(numpy.float16).tobytes()
        else:  # to nearest; ties do not matter here
            yield ((values.view(numpy.uint32) + 0x8000) >> 16).astype(numpy.uint16).tobytes()


def write(config, path, dtype, seed):
    import numpy  # the rest of this file serves without it

    random = numpy.random.default_rng(seed)
    head, listed = header(config, dtype)
    with open(path, "wb") as file:
        def pad():
            file.write(bytes(-file.tell() % ALIGNMENT))
        file.write(head)
        for name, shape in listed:
            pad()
            if len(shape) == 1:
                file.write(numpy.full(shape, 0.0 if name.endswith("bias") else 1.0, numpy.float32).tobytes())
            else:
                for block in numbers(random, shape[0] * shape[1], dtype, numpy):
                    file.write(block)
        pad()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="config.json")
    parser.add_argument("out", help="the file to write")
    parser.add_argument("--dtype", choices=FILE_TYPES, default="bf16")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with open(args.config) as file:
        config = json.load(file)
    if config.get("model_type") not in ARCHITECTURES:
        sys.exit(f"error: {args.config}: model_type '{config.get('model_type')}' is not one of {', '.join(ARCHITECTURES)}")
    write(config, args.out, args.dtype, args.seed)


if __name__ == "__main__":
    main()
