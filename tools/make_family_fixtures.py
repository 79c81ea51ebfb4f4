#!/usr/bin/env python3
"""Writes tests/model/families/: for each model family a tiny random checkpoint, and what transformers computes from it.

    python tools/make_family_fixtures.py [--out tests/model/families] [NAME ...]

Needs torch and transformers (their versions are written into each expected.json). A folder holds:
  config.json, model.safetensors   as save_pretrained writes them
  hub_config.json                  the same model in the older field names that published checkpoints use
  expected.json                    prompts: ids; greedy: the ids that follow; max_positions: what to load the model for
  expected.safetensors             logits.N: float32 [len(ids), vocab_size] of prompt N, from eager attention in float32
Everything is a function of the seed: run twice, the files are equal.
"""
import argparse
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file

VOCAB, HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, HEAD_DIM = 64, 32, 48, 4, 2, 8
SIZES = dict(vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=INTERMEDIATE, num_attention_heads=HEADS,
             num_key_value_heads=KV_HEADS, bos_token_id=1, eos_token_id=2, pad_token_id=0)
PROMPTS = (3, 17, 40)  # lengths; the windows below are shorter than the last two
LONG_PROMPTS = (17, 29, 40)  # all behind original_max_position_embeddings: transformers takes long_factor for these only
WINDOW = 12
NUM_GREEDY = 16


def theta(base, **more):
    return dict(rope_type="default", rope_theta=base, **more)


LONGROPE = dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=1.0,
                short_factor=[1.0, 1.05, 1.2, 1.3], long_factor=[1.0, 1.7, 2.9, 4.2])
LONGROPE_HUB = dict(type="longrope", short_factor=LONGROPE["short_factor"], long_factor=LONGROPE["long_factor"])


def families():
    """name -> (config, fields of hub_config.json that differ or are added, fields that it lacks, max_positions)"""
    t = transformers
    layer_types = ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]
    alternating = ["sliding_attention", "full_attention"] * 2
    return {
        "llama": (t.LlamaConfig(**SIZES, num_hidden_layers=2, rope_parameters=dict(
            rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=32), max_position_embeddings=256),
            dict(rope_theta=500000.0, rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                                        high_freq_factor=4.0, original_max_position_embeddings=32)),
            ["rope_parameters"], 128),
        "mistral": (t.MistralConfig(**SIZES, num_hidden_layers=2, head_dim=HEAD_DIM, sliding_window=WINDOW,
                                    rope_parameters=theta(10000.0), max_position_embeddings=256),
                    dict(rope_theta=10000.0), ["rope_parameters"], 128),
        "qwen2": (t.Qwen2Config(**SIZES, num_hidden_layers=2, rope_parameters=theta(1000000.0), tie_word_embeddings=True,
                                max_position_embeddings=256),
                  dict(rope_theta=1000000.0, sliding_window=32768, use_sliding_window=False, max_window_layers=2),
                  ["rope_parameters", "layer_types"], 128),
        "qwen2_window": (t.Qwen2Config(**SIZES, num_hidden_layers=3, rope_parameters=theta(1000000.0),
                                       use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1,
                                       max_position_embeddings=256),
                         dict(rope_theta=1000000.0), ["rope_parameters", "layer_types"], 128),
        "qwen3": (t.Qwen3Config(**SIZES, num_hidden_layers=2, head_dim=16, rope_parameters=theta(1000000.0),
                                max_position_embeddings=256),
                  dict(rope_theta=1000000.0, sliding_window=None, use_sliding_window=False),
                  ["rope_parameters", "layer_types"], 128),
        "phi3": (t.Phi3Config(**SIZES, num_hidden_layers=2, sliding_window=WINDOW,
                              rope_parameters=theta(10000.0, partial_rotary_factor=1.0), max_position_embeddings=256,
                              original_max_position_embeddings=256),
                 dict(rope_theta=10000.0, rope_scaling=None), ["rope_parameters", "partial_rotary_factor"], 128),
        "phi4": (t.Phi3Config(**SIZES, num_hidden_layers=2, sliding_window=None, tie_word_embeddings=True,
                              rope_parameters=theta(250000.0, partial_rotary_factor=0.5), max_position_embeddings=256,
                              original_max_position_embeddings=256),
                 dict(rope_theta=250000.0, rope_scaling=None, partial_rotary_factor=0.5), ["rope_parameters"], 128),
        "phi3_longrope_short": (t.Phi3Config(**SIZES, num_hidden_layers=2, sliding_window=None,
                                             rope_parameters=dict(LONGROPE, original_max_position_embeddings=64),
                                             max_position_embeddings=256, original_max_position_embeddings=64),
                                dict(rope_theta=10000.0, rope_scaling=LONGROPE_HUB, original_max_position_embeddings=64),
                                ["rope_parameters", "partial_rotary_factor"], 64),
        "phi3_longrope_long": (t.Phi3Config(**SIZES, num_hidden_layers=2, sliding_window=None,
                                            rope_parameters=dict(LONGROPE, original_max_position_embeddings=16),
                                            max_position_embeddings=256, original_max_position_embeddings=16),
                               dict(rope_theta=10000.0, rope_scaling=LONGROPE_HUB, original_max_position_embeddings=16),
                               ["rope_parameters", "partial_rotary_factor"], 256),
        "gemma2": (t.Gemma2Config(**SIZES, num_hidden_layers=4, head_dim=HEAD_DIM, sliding_window=WINDOW,
                                  query_pre_attn_scalar=20, attn_logit_softcapping=5.0, final_logit_softcapping=4.0,
                                  layer_types=alternating, rope_parameters=theta(10000.0), max_position_embeddings=256),
                   dict(rope_theta=10000.0), ["rope_parameters", "layer_types"], 128),
        "gemma3": (t.Gemma3TextConfig(**SIZES, num_hidden_layers=4, head_dim=16, sliding_window=WINDOW,
                                      query_pre_attn_scalar=20, layer_types=layer_types, sliding_window_pattern=3,
                                      rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0,
                                                                               rope_theta=1000000.0),
                                                           sliding_attention=theta(10000.0)),
                                      max_position_embeddings=256),
                   dict(rope_theta=1000000.0, rope_local_base_freq=10000.0, rope_scaling=dict(rope_type="linear", factor=8.0),
                        sliding_window_pattern=3), ["rope_parameters", "layer_types"], 128),
        "mixtral": (t.MixtralConfig(**SIZES, num_hidden_layers=2, num_local_experts=5, num_experts_per_tok=2,
                                    rope_parameters=theta(1000000.0), max_position_embeddings=256),
                    dict(rope_theta=1000000.0, sliding_window=None), ["rope_parameters"], 128),
        "olmo2": (t.Olmo2Config(**SIZES, num_hidden_layers=2, rope_parameters=theta(500000.0),
                                max_position_embeddings=256),
                  dict(rope_theta=500000.0, rope_scaling=None), ["rope_parameters"], 128),
        "granite": (t.GraniteConfig(**SIZES, num_hidden_layers=2, embedding_multiplier=3.0, attention_multiplier=0.2,
                                    residual_multiplier=0.4, logits_scaling=2.0, tie_word_embeddings=True,
                                    rope_parameters=theta(10000.0), max_position_embeddings=256),
                    dict(rope_theta=10000.0), ["rope_parameters"], 128),
    }


def randomize(model, seed):
    """Weights large enough that every part shows in the logits; norms about one (about zero where 1 is added)."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        is_norm = "norm" in name
        offset = 0.0 if not is_norm or "Gemma" in type(model).__name__ else 1.0
        spread = 0.3 if is_norm else 0.5 if name.endswith("bias") else 1.2 / parameter.shape[-1] ** 0.5
        with torch.no_grad():
            parameter.copy_(offset + spread * noise)
    model.tie_weights()


def prompts(seed, lengths):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, VOCAB, (length,), generator=generator) for length in lengths]


def greedy(model, ids):
    """The ids that follow, and by how much the best logit leads at the closest choice."""
    found, lead = [], float("inf")
    for _ in range(NUM_GREEDY):
        two = model(ids[None], use_cache=False).logits[0, -1].topk(2)
        lead = min(lead, float(two.values[0] - two.values[1]))
        found.append(int(two.indices[0]))
        ids = torch.cat([ids, two.indices[:1]])
    return found, lead


def write(out, name, config, changed, dropped, max_positions, seed):
    config._attn_implementation = "eager"
    config.dtype = torch.float32
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval().float()
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        while True:  # another seed where a greedy choice hangs on rounding
            randomize(model, seed)
            ids = prompts(seed, LONG_PROMPTS if name.endswith('_long') else PROMPTS)
            logits = [model(i[None], use_cache=False).logits[0] for i in ids]
            follow = [greedy(model, i) for i in ids]
            if min(lead for _, lead in follow) > 2e-3:
                break
            seed += 1000
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    written = json.loads((folder / "config.json").read_text())
    hub = {k: v for k, v in written.items() if k not in dropped and k not in ("dtype", "transformers_version")}
    (folder / "hub_config.json").write_text(json.dumps({**hub, "torch_dtype": "float32", **changed}, indent=1) + "\n")
    save_file({f"logits.{i}": l.contiguous() for i, l in enumerate(logits)}, folder / "expected.safetensors")
    expected = dict(torch=torch.__version__, transformers=transformers.__version__, seed=seed, max_positions=max_positions,
                    prompts=[dict(ids=i.tolist(), greedy=f) for i, (f, _) in zip(ids, follow)])
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: {size} bytes, seed {seed}, spread of logits {logits[-1].std():.3f}, least lead {min(l for _, l in follow):.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tests/model/families"))
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    for index, (name, row) in enumerate(families().items()):
        if not args.names or name in args.names:
            write(args.out, name, *row, seed=100 + index)


if __name__ == "__main__":
    main()
