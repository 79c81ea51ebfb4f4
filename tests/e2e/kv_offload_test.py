"""Blocks that leave a KV cache that is too small come back from memory and disk: the same answers, and after a restart what
was computed before is found again, unless it is damaged or belongs to another model."""
import os
import pathlib
import signal
import tempfile
import unittest

from harness import Server

SMALL = ("--num-gpu-blocks-override", "40", "--max-model-len", "512", "--enable-prompt-tokens-details")


def request(topic):
    return {"messages": [{"role": "system", "content": f"You know everything about {topic}. " * 12},
                         {"role": "user", "content": f"Tell me about {topic}."}],
            "temperature": 0, "max_tokens": 24, "ignore_eos": True}


def ask(server, topic, **extra):
    reply = server.json("/v1/chat/completions",
                        {**request(topic), "logprobs": True, "top_logprobs": 2, "return_token_ids": True, **extra})
    choice = reply["choices"][0]
    return ((choice["token_ids"], choice["logprobs"]["content"]), reply["usage"]["prompt_tokens_details"]["cached_tokens"],
            reply["usage"]["prompt_tokens"])


TOPICS = ["lighthouses", "mountain goats", "steam engines", "old maps"]


class KvOffload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with Server("--no-enable-prefix-caching", *SMALL) as server:
            cls.plain = {topic: ask(server, topic)[0] for topic in TOPICS}

    def check(self, server, topic):
        answer, cached, num_prompt = ask(server, topic)
        self.assertEqual(answer, self.plain[topic], topic)
        return cached, num_prompt

    def test_from_memory(self):
        with Server(*SMALL, "--kv-offloading-size", "0.05") as server:
            for topic in TOPICS:
                self.check(server, topic)
            for topic in TOPICS:  # each was pushed out by those after it
                cached, num_prompt = self.check(server, topic)
                self.assertGreater(cached, num_prompt - 17)
            self.assertGreater(server.metric("vllm:external_prefix_cache_hits_total"), 0)
            self.assertGreater(server.metric("vllm:kv_offload_load_bytes_total"), 0)
            self.assertGreater(server.metric("vllm:kv_offload_store_bytes_total"), 0)

    def test_after_a_restart(self):
        with tempfile.TemporaryDirectory() as folder:
            flags = (*SMALL, "--kv-offloading-size", "0.05", "--kv-offloading-path", os.path.join(folder, "kv"))
            with Server(*flags) as server:
                for topic in TOPICS:
                    self.check(server, topic)
            with Server(*flags) as server:
                self.assertNotIn(" 0 blocks found", server.output())
                for topic in TOPICS:
                    cached, num_prompt = self.check(server, topic)
                    self.assertGreater(cached, num_prompt - 17, topic)
                # Others' salts see nothing of it.
                self.assertEqual(ask(server, TOPICS[0], cache_salt="mine")[1], 0)
                # One at a time.
                with self.assertRaisesRegex(RuntimeError, "--kv-offloading-path.*another process"):
                    Server(*flags)
            # Whatever happens to the files, the answers stay the same.
            files = sorted(pathlib.Path(folder).rglob("*.kv"))
            self.assertGreater(len(files), 20)
            for i, file in enumerate(files):
                bytes_ = bytearray(file.read_bytes())
                bytes_[(i * 977) % len(bytes_)] ^= 1 << i % 8
                if i % 3:
                    file.write_bytes(bytes_)
            with Server(*flags) as server:
                for topic in TOPICS:
                    self.check(server, topic)
            with Server(*flags, "--kv-cache-dtype", "float32") as server:  # other bytes: another folder
                self.assertIn(" 0 blocks found", server.output())
                self.assertEqual(ask(server, TOPICS[0])[1], 0)

    def test_killed(self):
        with tempfile.TemporaryDirectory() as folder:
            flags = (*SMALL, "--kv-offloading-size", "0.05", "--kv-offloading-path", folder)
            server = Server(*flags)
            for topic in TOPICS:
                self.check(server, topic)
            for i in range(8):  # until the beginnings of the first have left the cache too
                ask(server, f"number {i}")
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            server.log.close()
            with Server(*flags) as server:
                total = sum(self.check(server, topic)[0] for topic in TOPICS)
                self.assertGreater(total, 0)

    def test_reset(self):
        with tempfile.TemporaryDirectory() as folder:
            with Server(*SMALL, "--kv-offloading-size", "0.05", "--kv-offloading-path", folder,
                        environment={"VLLM_SERVER_DEV_MODE": "1"}) as server:
                for topic in TOPICS:
                    self.check(server, topic)
                status, answer, _ = server.post("/reset_prefix_cache", {})
                self.assertEqual(status, 200, answer)
                for topic in TOPICS:
                    self.assertEqual(self.check(server, topic)[0], 0)

    def test_sleep(self):
        with tempfile.TemporaryDirectory() as folder:
            flags = (*SMALL, "--kv-offloading-size", "0.05", "--kv-offloading-path", folder, "--enable-sleep-mode")
            with Server(*flags, environment={"VLLM_SERVER_DEV_MODE": "1"}) as server:
                for round_ in range(3):
                    for topic in TOPICS:
                        self.check(server, topic)
                    for path in ("/sleep?level=1", "/wake_up"):
                        status, answer, _ = server.post(path, {})
                        self.assertEqual(status, 200, answer)
                for topic in TOPICS:
                    self.check(server, topic)
            with Server(*flags) as server:
                for topic in TOPICS:
                    self.check(server, topic)

    def test_nothing_waits_for_ever_where_the_disk_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            flags = (*SMALL, "--kv-offloading-size", "0.002", "--kv-offloading-path", folder, "--kv-offloading-disk-size", "0.02")
            with Server(*flags) as server:
                for round_ in range(3):
                    for topic in TOPICS:
                        self.check(server, topic)
                    for file in pathlib.Path(folder).rglob("*.kv"):  # behind the server's back
                        file.unlink()


if __name__ == "__main__":
    unittest.main()
