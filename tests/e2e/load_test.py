"""Sixty-four clients at once, clients that leave, and what stays behind: nothing."""
import asyncio
import contextlib
import http.client
import json
import tempfile
import threading
import time
import unittest

import openai

from harness import SOURCE, Server, in_threads, wait_until


class Load(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--max-num-seqs", "64")
        cls.model = openai.OpenAI(base_url=f"{cls.server.url}/v1", api_key="x").models.list().data[0].id

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def idle(self):
        return self.server.metric("vllm:num_requests_running") == 0 and self.server.metric("vllm:kv_cache_usage_perc") == 0

    async def stream(self, client, index, leave_after):
        """Reads a stream; leaves after so many chunks. Returns the times at which chunks came."""
        times = []
        answer = await client.chat.completions.create(
            model=self.model, messages=[{"role": "user", "content": f"Tell me about topic {index}."}], stream=True,
            max_tokens=150, temperature=1.0, extra_body={"ignore_eos": True})
        async for _ in answer:
            times.append(time.monotonic())
            if leave_after and len(times) >= leave_after:
                await answer.close()
                break
        return times

    async def run_clients(self, count, leave_after):
        async with openai.AsyncOpenAI(base_url=f"{self.server.url}/v1", api_key="x", max_retries=0, timeout=120) as client:
            return await asyncio.gather(*(self.stream(client, i, leave_after if i % 2 else 0) for i in range(count)))

    def test_64_streams_half_of_them_cancelled(self):
        healthy, stop = [], threading.Event()

        def watch():
            while not stop.wait(0.1):
                healthy.append(self.server.get("/health")[0])

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            streams = asyncio.run(self.run_clients(64, leave_after=20))
        finally:
            stop.set()
            watcher.join()
        self.assertEqual(set(healthy), {200})
        self.assertTrue(all(len(times) == 20 for times in streams[1::2]))
        self.assertTrue(all(len(times) >= 100 for times in streams[0::2]), [len(t) for t in streams])
        # Nobody waited for another to end: the last to begin began before the first to end had ended.
        self.assertLess(max(t[0] for t in streams), min(t[-1] for t in streams[0::2]))
        wait_until(self.idle, message="KV blocks or requests were left behind")
        self.assertGreaterEqual(self.server.metric("vllm:request_success_total"), 64)

    def test_nothing_leaks_over_1000_requests(self):
        def hurry(index):
            for i in range(index, 1000, 16):
                if i % 4 == 0:  # leaves without reading
                    with contextlib.suppress(Exception):
                        self.server.raw(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n"
                                        b'{"prompt": [5, 6], "max_tokens": 40, "stream": true        }', timeout=0.02)
                else:
                    self.assertEqual(self.server.post("/v1/completions", {"prompt": [5, 6, 7], "max_tokens": 2})[0], 200)

        in_threads(8, hurry)
        wait_until(self.idle)
        threads, descriptors = self.server.num_threads(), self.server.num_descriptors()
        in_threads(16, hurry)
        wait_until(self.idle, message="KV blocks or requests were left behind")
        wait_until(lambda: self.server.num_descriptors() <= descriptors, message="descriptors leak")
        self.assertEqual(self.server.num_threads(), threads)

    def test_a_full_queue_is_refused_at_once(self):
        # A larger model with random weights, so that a request takes seconds.
        config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 1024, "num_hidden_layers": 6,
                  "num_attention_heads": 16, "num_key_value_heads": 4, "intermediate_size": 4096, "vocab_size": 2048,
                  "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "torch_dtype": "bfloat16"}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(config, file)
            file.flush()
            with Server("--load-format", "dummy", "--hf-config", file.name, "--tokenizer", SOURCE / "demo" / "model",
                        "--max-num-seqs", "1", "--max-num-queued-reqs", "2") as server:
                self.fill_queue(server)

    def fill_queue(self, server):
        def ask(_):
            body = {"prompt": [5], "max_tokens": 500, "ignore_eos": True}
            status, _, headers = server.post("/v1/completions", body)
            return status, {k.lower(): v for k, v in headers.items()}.get("retry-after")

        blocker = threading.Thread(target=in_threads, args=(2, ask))
        blocker.start()
        wait_until(lambda: server.metric("vllm:num_requests_running") + server.metric("vllm:num_requests_waiting") == 2)
        started = time.monotonic()
        for status, retry_after in in_threads(6, ask):
            self.assertEqual(status, 503)
            self.assertGreaterEqual(int(retry_after), 1)
        huge = {"prompt": "word " * 2_000_000, "max_tokens": 1}
        self.assertEqual(server.post("/v1/completions", huge)[0], 503)  # before 10 MB of text are tokenized
        self.assertTrue(blocker.is_alive(), f"the queue was no longer full after {time.monotonic() - started:.1f} s")
        blocker.join()
        self.assertEqual(server.post("/v1/completions", huge)[0], 400)  # with room: longer than the context


class Tenants(unittest.TestCase):
    """Who floods the queue, and who has something to ask beside it."""

    @staticmethod
    def ask(server, body, source="127.0.0.1", key=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout, source_address=(source, 0))
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
            connection.request("POST", "/v1/completions", json.dumps(body), headers)
            response = connection.getresponse()
            response.read()
            return response.status, response.getheader("retry-after")

    def flood(self, server, body, asks, keys=(None, None), sources=("127.0.0.1", "127.0.0.1")):
        """Statuses of `asks` polite requests, one after the other, beside a hundred connections that ask for ever."""
        stop, flooded = threading.Event(), []

        def hurry():
            while not stop.is_set():
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status, retry_after = self.ask(server, body, sources[0], keys[0])
                    flooded.append((status, retry_after))
                    time.sleep(0.02)

        threads = [threading.Thread(target=hurry) for _ in range(100)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: any(status == 503 for status, _ in flooded), message="the queue did not get full")
            polite = [self.ask(server, {"prompt": [5, 6], "max_tokens": 4}, sources[1], keys[1])[0] for _ in range(asks)]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertTrue(all(int(retry) >= 1 for status, retry in flooded if status == 503))
        self.assertLessEqual({status for status, _ in flooded}, {200, 503})
        return polite

    def test_a_polite_client_is_answered_beside_a_flood(self):
        for flags, body in (([], {"prompt": [5], "max_tokens": 60, "ignore_eos": True}),
                            (["--scheduling-policy", "fair"], {"prompt": [5], "max_tokens": 60, "ignore_eos": True, "n": 8})):
            with self.subTest(flags=flags), Server(*flags, "--max-num-seqs", 8, "--max-num-queued-reqs", 32) as server:
                polite = self.flood(server, body, 20, sources=("127.0.0.1", "127.0.0.2"))
                self.assertGreaterEqual(polite.count(200), 19, polite)

    def test_a_key_is_answered_while_another_holds_all_places(self):
        large = {"prompt": [5], "n": 4096, "max_tokens": 500, "ignore_eos": True, "user": "ann"}
        with Server("--api-key", "a", "b") as server:
            holders = []
            holder = threading.Thread(target=lambda: holders.append(self.ask(server, large, key="a", timeout=300)))
            holder.start()
            wait_until(lambda: server.metric("vllm:num_requests_running") > 0)
            self.assertEqual(self.ask(server, {"prompt": [5], "max_tokens": 4, "user": "ann"}, key="a")[0], 503)
            self.assertEqual(self.ask(server, {"prompt": [5], "max_tokens": 4}, key="b")[0], 200)
            holder.join()
            self.assertEqual(holders[0][0], 503)
            self.assertGreaterEqual(int(holders[0][1]), 1)
            wait_until(lambda: server.metric("vllm:num_requests_running") == 0)
            self.assertEqual(self.ask(server, large | {"n": 4097}, key="a")[0], 400)

    def test_a_key_that_holds_all_seats_gives_some_back(self):
        for policy in ("fcfs", "fair", "priority"):
            with self.subTest(policy=policy), Server("--api-key", "a", "b", "--scheduling-policy", policy, "--max-num-seqs", 8,
                                                     "--max-num-queued-reqs", 1000) as server:
                holder = threading.Thread(target=lambda: self.ask(
                    server, {"prompt": [5], "n": 400, "max_tokens": 900, "ignore_eos": True}, key="a", timeout=300), daemon=True)
                holder.start()
                wait_until(lambda: server.metric("vllm:num_requests_running") == 8)
                ended = server.metric("vllm:request_success_total")
                for i in range(10):
                    self.assertEqual(self.ask(server, {"prompt": [6, i], "max_tokens": 4}, key="b")[0], 200)
                others = server.metric("vllm:request_success_total") - ended - 10
                self.assertLess(others, 9, "it waited for whole generations of the other key")
                self.assertGreaterEqual(server.metric("vllm:num_preemptions_total"), 1)


if __name__ == "__main__":
    unittest.main()
