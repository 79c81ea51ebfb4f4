"""Writes the trained weights as a Hugging Face folder in bfloat16: python export.py [DATA_DIR] [MODEL_DIR]."""

import json
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save
from tokenizers import Tokenizer

import model
import template
from tokenizer import END_OF_TEXT, IM_END, IM_START

HERE = Path(__file__).parent
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")


def hugging_face_name(name):
    if name in ("embed", "norm"):
        return {"embed": "model.embed_tokens.weight", "norm": "model.norm.weight"}[name]
    _, layer, part = name.split(".")
    room = "self_attn." if part in ATTENTION else "mlp." if part in MLP else ""
    return f"model.layers.{layer}.{room}{part}.weight"


def write_weights(source, path):
    tensors = {}
    for name, value in np.load(source).items():
        value = value.T if name.rsplit(".")[-1] in ATTENTION + MLP else value  # [in, out] here, [out, in] there
        tensors[hugging_face_name(name)] = np.ascontiguousarray(value).astype(ml_dtypes.bfloat16)
    path.write_bytes(save(tensors, {"format": "pt"}))


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def config(ids):
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
        "vocab_size": model.VOCAB, "hidden_size": model.HIDDEN, "intermediate_size": model.INTERMEDIATE,
        "num_hidden_layers": model.LAYERS, "num_attention_heads": model.HEADS, "num_key_value_heads": model.KV_HEADS, "head_dim": model.HEAD_DIM,
        "hidden_act": "silu", "max_position_embeddings": model.MAX_POSITIONS, "rms_norm_eps": model.NORM_EPS, "rope_theta": model.ROPE_THETA, "rope_scaling": None,
        "attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0, "initializer_range": 0.02, "tie_word_embeddings": True, "use_cache": True,
        "bos_token_id": ids[END_OF_TEXT], "eos_token_id": ids[IM_END], "pad_token_id": ids[END_OF_TEXT],
    }


def tokenizer_config(tokenizer):
    added = {str(number): {"content": token.content, "special": token.special, "normalized": False, "lstrip": False, "rstrip": False, "single_word": False}
             for number, token in sorted(tokenizer.get_added_tokens_decoder().items())}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": added, "additional_special_tokens": [IM_START, IM_END], "add_prefix_space": False,
        "bos_token": None, "eos_token": IM_END, "pad_token": END_OF_TEXT, "unk_token": None, "clean_up_tokenization_spaces": False,
        "model_max_length": model.MAX_POSITIONS, "chat_template": template.SOURCE,
    }


def main():
    data = Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "build")
    out = Path(sys.argv[2] if len(sys.argv) > 2 else HERE.parent / "model")
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(data / "tokenizer.json"))
    ids = {name: tokenizer.token_to_id(name) for name in (END_OF_TEXT, IM_START, IM_END)}
    tokenizer.save(str(out / "tokenizer.json"))
    write_weights(data / "weights.npz", out / "model.safetensors")
    write_json(out / "config.json", config(ids))
    write_json(out / "tokenizer_config.json", tokenizer_config(tokenizer))
    write_json(out / "generation_config.json", {"bos_token_id": ids[END_OF_TEXT], "eos_token_id": [ids[IM_END], ids[END_OF_TEXT]], "pad_token_id": ids[END_OF_TEXT],
                                                "do_sample": True, "temperature": 0.2, "top_p": 0.9})


if __name__ == "__main__":
    main()
