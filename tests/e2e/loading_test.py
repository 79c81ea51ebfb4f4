"""How much memory loading takes, packed weights that are kept from one start to the next, and where threads run."""
import json
import os
import pathlib
import random
import struct
import subprocess
import tempfile
import unittest

from harness import SANITIZED, BINARY, Server, clean_environment

MB = 1 << 20
HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN, VOCAB = 1024, 8, 16, 4, 64, 4096, 2048
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
          "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
          "head_dim": HEAD_DIM, "intermediate_size": FFN, "vocab_size": VOCAB, "max_position_embeddings": 256,
          "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True, "torch_dtype": "bfloat16"}
FLAGS = ["--tokenizer", "pagoda-demo", "--kv-cache-memory-bytes", 16 * MB, "--served-model-name", "it"]
PROMPT = {"model": "it", "prompt": [5, 6, 7, 8], "max_tokens": 12, "temperature": 0, "ignore_eos": True, "logprobs": 1}


def shapes():
    yield "model.embed_tokens.weight", [VOCAB, HIDDEN]
    yield "model.norm.weight", [HIDDEN]
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield prefix + norm + ".weight", [HIDDEN]
        for name, rows, columns in (("self_attn.q_proj", HEADS * HEAD_DIM, HIDDEN),
                                    ("self_attn.k_proj", KV_HEADS * HEAD_DIM, HIDDEN),
                                    ("self_attn.v_proj", KV_HEADS * HEAD_DIM, HIDDEN),
                                    ("self_attn.o_proj", HIDDEN, HEADS * HEAD_DIM), ("mlp.gate_proj", FFN, HIDDEN),
                                    ("mlp.up_proj", FFN, HIDDEN), ("mlp.down_proj", HIDDEN, FFN)):
            yield prefix + name + ".weight", [rows, columns]


def write_model(folder):
    """About 250 MB of small random bfloat16 numbers. Returns the bytes of all tensors, and of the largest."""
    header, sizes, end = {}, [], 0
    for name, shape in shapes():
        sizes.append(2 * shape[0] * (shape[1] if len(shape) > 1 else 1))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + sizes[-1]]}
        end += sizes[-1]
    text = json.dumps(header).encode()
    noise = random.Random(1)
    bits = [struct.unpack("<I", struct.pack("<f", noise.gauss(0, 0.02)))[0] >> 16 for _ in range(1 << 16)]
    piece = struct.pack(f"<{len(bits)}H", *bits) * 2
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for size in sizes:
            while size > 0:
                begin = noise.randrange(len(bits)) * 2
                size -= file.write(piece[begin:begin + min(size, len(piece) // 2)])
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return sum(sizes), max(sizes)


def memory(server):
    """Of the process, in bytes: VmHWM (most ever), RssAnon, RssFile (now)."""
    with open(f"/proc/{server.process.pid}/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return {name: int(lines[name].split()[0]) * 1024 for name in ("VmHWM", "RssAnon", "RssFile")}


class Loading(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.weights, cls.largest = write_model(cls.folder)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def ask(self, server):
        return server.json("/v1/completions", PROMPT)["choices"][0]

    def test_loading_takes_the_weights_and_one_tensor_more(self):
        with Server(*FLAGS) as server:  # the demo model: what the program itself takes
            alone = memory(server)["VmHWM"]
        with Server(self.folder, *FLAGS) as server:
            used = memory(server)
        if SANITIZED:
            return
        # A file whose pages stay would add all of it, a copy that stays as well. The program's own file, of a hundred
        # megabytes where it is built for debugging, is read to know which program's tuning of the CPU is kept.
        program = os.path.getsize(BINARY)
        self.assertLess(used["VmHWM"], alone + max(program, self.largest) + self.weights + self.weights // 4)
        self.assertLess(used["RssFile"], 64 * MB)

    def test_packed_weights_are_kept(self):
        cache = self.folder / "cache"
        with Server(self.folder, *FLAGS) as server:
            expected = self.ask(server)
        flags = [*FLAGS, "--packed-cache", cache]
        with Server(self.folder, *flags) as server:
            self.assertIn("Packed weights written", server.output())
            self.assertEqual(self.ask(server), expected)
        [packed] = cache.glob("*.packed")
        with Server(self.folder, *flags) as server:
            self.assertIn(f"Packed weights: '{packed}'", server.output())
            self.assertEqual(self.ask(server), expected)
            self.assertTrue(SANITIZED or memory(server)["RssAnon"] < 64 * MB)  # they are the file's own pages
        with open(packed, "r+b") as file:  # a bit flips
            file.seek(100 * MB)
            byte = file.read(1)[0]
            file.seek(100 * MB)
            file.write(bytes([byte ^ 4]))
        with Server(self.folder, *flags) as server:
            self.assertIn("are made anew: it has damaged numbers", server.output())
            self.assertEqual(self.ask(server), expected)
        os.truncate(packed, 150 * MB)
        with Server(self.folder, *flags) as server:
            self.assertIn("are made anew: it is cut off", server.output())
            self.assertEqual(self.ask(server), expected)
        with Server(self.folder, *flags, "--quantization", "int8") as server:
            self.assertIn("Packed weights written", server.output())
        self.assertEqual(len(list(cache.glob("*.packed"))), 2)
        self.assertEqual(len(list(cache.glob("*.tmp.*"))), 0)


class Threads(unittest.TestCase):
    def test_they_run_where_they_are_told(self):
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            self.skipTest("one CPU")
        with Server("--cpu-list", cpus[0]) as server:
            server.json("/v1/completions", {"prompt": [5], "max_tokens": 2})
            masks = [os.sched_getaffinity(int(task)) for task in os.listdir(f"/proc/{server.process.pid}/task")]
        self.assertEqual(masks.count({cpus[0]}), 1, masks)  # the engine thread, the only one that computes
        self.assertTrue(all(mask == {cpus[0]} or cpus[0] not in mask for mask in masks), masks)
        self.assertEqual(os.sched_getaffinity(0), set(cpus))

    def test_a_list_that_cannot_be_is_refused(self):
        one = ["--cpu-list", min(os.sched_getaffinity(0))]
        for flags, words in ((["--cpu-list", "1023"], "do not exist or are not for this process"),
                             (["--cpu-list", "0-"], "a range ends with a number"),
                             ([*one, "--threads", 2], "2 threads are more than the 1")):
            done = subprocess.run([BINARY, "serve", "--port", "0", *map(str, flags)], capture_output=True, text=True,
                                  timeout=60, env=clean_environment())
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
