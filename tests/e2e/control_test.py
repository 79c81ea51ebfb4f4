"""Time limits, full queues, and the commands beside the requests, as clients and operators see them."""
import json
import pathlib
import shutil
import tempfile
import threading
import time
import unittest

import openai
from harness import SOURCE, Server, wait_until

LONG = {"prompt": [5], "max_tokens": 1000, "ignore_eos": True}
DEVELOPER = {"VLLM_SERVER_DEV_MODE": "1"}
ANSWER = {"prompt": "What is Pagoda?", "max_tokens": 24, "temperature": 0, "ignore_eos": True}


def client_of(server, key="none"):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


def text_of(server):
    return server.json("/v1/completions", ANSWER)["choices"][0]["text"]


class InBackground:
    """A request under way; `answer` is (status, body, headers) once it has ended."""

    def __init__(self, server, body):
        self.answer = None
        self.thread = threading.Thread(target=self._run, args=(server, body))
        self.thread.start()

    def _run(self, server, body):
        self.answer = server.post("/v1/completions", body)

    def result(self):
        self.thread.join()
        self.status, body, self.headers = self.answer
        return json.loads(body)


class TimeLimits(unittest.TestCase):
    def test_a_request_ends_at_its_time_with_what_there_is(self):
        with Server("--request-timeout", 30, "--max-num-seqs", 512, "--max-num-batched-tokens", 1024,
                    environment=DEVELOPER) as server:
            client = client_of(server)
            crowd = [InBackground(server, {**LONG, "n": 64, "temperature": 1}) for _ in range(4)]
            wait_until(lambda: server.metric("vllm:num_requests_running") > 100)
            answer = client.completions.create(model="", prompt=[5], max_tokens=1000,
                                               extra_body={"timeout": 0.5, "ignore_eos": True})
            self.assertEqual(answer.choices[0].finish_reason, "timeout")
            self.assertGreater(answer.usage.completion_tokens, 0)
            server.post("/pause", b"")
            server.post("/resume", b"")
            for request in crowd:
                self.assertEqual(request.result()["choices"][0]["finish_reason"], "abort")

    def test_before_the_first_token_it_is_504(self):
        with Server(environment=DEVELOPER) as server:
            self.assertEqual(server.post("/pause", b"")[0], 200)
            with self.assertRaises(openai.APIStatusError) as caught:
                client_of(server).completions.create(model="", prompt=[5], extra_body={"timeout": 0.1})
            self.assertEqual(caught.exception.status_code, 504)
            self.assertEqual(caught.exception.body["type"], "TimeoutError")
            self.assertEqual(server.post("/v1/completions", {"prompt": [5], "timeout": -1})[0], 400)
            self.assertEqual(server.post("/resume", b"")[0], 200)


class FullQueues(unittest.TestCase):
    def test_too_many_prompt_tokens_are_told_when_to_come_again(self):
        with Server("--max-num-queued-tokens", 40, environment=DEVELOPER) as server:
            self.assertEqual(server.post("/v1/completions", {"prompt": [5] * 41})[0], 400)
            self.assertEqual(server.post("/pause?mode=keep", b"")[0], 200)
            first = InBackground(server, {"prompt": [5] * 30, "max_tokens": 2})
            wait_until(lambda: server.metric("vllm:num_requests_waiting") == 1)
            status, body, headers = server.post("/v1/completions", {"prompt": [5] * 20})
            self.assertEqual(status, 503)
            self.assertEqual(json.loads(body)["error"]["type"], "ServiceUnavailableError")
            self.assertIn(int({name.lower(): value for name, value in headers.items()}["retry-after"]), range(1, 61))
            self.assertEqual(server.metric("vllm:admission_rejections_total"), 1)
            server.post("/resume", b"")
            first.result()
            self.assertEqual(first.status, 200)
            self.assertEqual(server.post("/v1/completions", {"prompt": [5] * 20})[0], 200)


class Commands(unittest.TestCase):
    def test_pause_and_resume(self):
        with Server(environment=DEVELOPER) as server:
            expected = text_of(server)
            for mode, finish in (("keep", "length"), ("abort", "abort"), ("wait", "length")):
                running = InBackground(server, {**LONG, "n": 16, "temperature": 1})
                wait_until(lambda: server.metric("vllm:num_requests_running") == 16)
                self.assertEqual(json.loads(server.post(f"/pause?mode={mode}", b"")[1]), {"status": "paused"})
                self.assertEqual(json.loads(server.get("/is_paused")[1]), {"is_paused": True})
                waiting = InBackground(server, ANSWER)
                wait_until(lambda: server.metric("vllm:num_requests_waiting") == 1)
                self.assertEqual(server.get("/health")[0], 200)
                self.assertEqual(json.loads(server.post("/resume", b"")[1]), {"status": "resumed"})
                self.assertEqual(running.result()["choices"][0]["finish_reason"], finish, mode)
                self.assertEqual(waiting.result()["choices"][0]["text"], expected, mode)

    def test_sleep_and_wake_up(self):
        with Server("--enable-sleep-mode", "--enable-prefix-caching", environment=DEVELOPER) as server:
            expected = text_of(server)
            for level in (1, 2):
                status, body, _ = server.post(f"/sleep?level={level}", b"")
                self.assertEqual((status, json.loads(body)), (200, {"status": "sleeping", "level": level}))
                self.assertEqual(json.loads(server.get("/is_sleeping")[1]), {"is_sleeping": True})
                state = "weights_offloaded" if level == 1 else "discard_all"
                self.assertRegex(server.get("/metrics")[1].decode(), f'sleep_state="{state}"[^\\n]*}} 1')
                waiting = InBackground(server, ANSWER)
                wait_until(lambda: server.metric("vllm:num_requests_waiting") == 1)
                self.assertEqual(server.post("/wake_up", b"")[0], 200)
                self.assertEqual(waiting.result()["choices"][0]["text"], expected)
                self.assertEqual(text_of(server), expected)

    def test_weights_that_cannot_be_loaded_again_are_the_servers_fault(self):
        with tempfile.TemporaryDirectory() as folder:
            model = shutil.copytree(SOURCE / "demo" / "model", pathlib.Path(folder) / "model")
            weights = next(model.glob("*.safetensors"))
            good = weights.read_bytes()
            with Server(model, "--enable-sleep-mode", environment=DEVELOPER) as server:
                expected = text_of(server)
                self.assertEqual(server.post("/sleep", b"")[0], 200)
                moved = weights.rename(weights.with_suffix(".moved"))
                for cut in (None, len(good) - 5, 20):
                    if cut:
                        weights.write_bytes(good[:cut])
                    status, body, _ = server.post("/wake_up", b"")
                    error = json.loads(body)["error"]
                    self.assertEqual((status, error["type"]), (500, "InternalServerError"), cut)
                    self.assertIn("safetensors", error["message"])
                    self.assertEqual(json.loads(server.get("/is_sleeping")[1]), {"is_sleeping": True})
                moved.rename(weights)
                self.assertEqual(server.post("/wake_up", b"")[0], 200)
                self.assertEqual(text_of(server), expected)

    def test_reset_prefix_cache(self):
        with Server("--enable-prefix-caching", "--enable-prompt-tokens-details", environment=DEVELOPER) as server:
            def cached():
                usage = server.json("/v1/completions", {"prompt": list(range(10, 60)), "max_tokens": 1})["usage"]
                return usage["prompt_tokens_details"]["cached_tokens"]
            self.assertEqual(cached(), 0)
            self.assertEqual(cached(), 48)
            status, body, _ = server.post("/reset_prefix_cache", b"")
            self.assertEqual((status, json.loads(body)), (200, {"success": True}))
            self.assertEqual(cached(), 0)

    def test_commands_need_the_key(self):
        commands = ("/pause", "/resume", "/sleep", "/wake_up", "/abort_requests", "/reset_prefix_cache")
        with Server("--enable-sleep-mode") as server:
            for path in commands:
                self.assertEqual(server.post(path, b"")[0], 404, path)
        with Server("--api-key", "k") as server:
            for path in commands:
                self.assertEqual(server.post(path, b"")[0], 401, path)
            self.assertEqual(server.post("/resume", b"", {"Authorization": "Bearer k"})[0], 200)


class Answers(unittest.TestCase):
    def test_per_request_metrics_and_pieces(self):
        with Server("--enable-per-request-metrics", "--stream-interval", 6) as server:
            client = client_of(server)
            whole = client.completions.create(model="", prompt="x", max_tokens=20, extra_body={"ignore_eos": True})
            timing = whole.model_extra["metrics"]
            self.assertEqual(set(timing), {"time_to_first_token_ms", "generation_time_ms", "queue_time_ms", "mean_itl_ms",
                                           "tokens_per_second"})
            self.assertAlmostEqual(timing["mean_itl_ms"] * 19, timing["generation_time_ms"], delta=1e-6)
            chunks = list(client.completions.create(model="", prompt="x", max_tokens=20, stream=True,
                                                    stream_options={"include_usage": True},
                                                    extra_body={"ignore_eos": True, "return_token_ids": True}))
            counts = [len(chunk.choices[0].model_extra["token_ids"]) for chunk in chunks if chunk.choices]
            self.assertEqual(counts, [1, 6, 6, 6, 1])
            self.assertIn("metrics", chunks[-1].model_extra)
            self.assertIsNone(whole.usage.prompt_tokens_details)

    def test_fair_shares_and_priorities_are_accepted(self):
        with Server("--scheduling-policy", "fair", "--client-weights", '{"ann": 3}') as server:
            self.assertEqual(server.post("/v1/completions", {**ANSWER, "user": "ann"})[0], 200)
            self.assertEqual(server.post("/v1/completions", {**ANSWER, "priority": 1})[0], 200)  # ignored
        with Server("--scheduling-policy", "priority") as server:
            self.assertEqual(server.post("/v1/completions", {**ANSWER, "priority": -1})[0], 200)


if __name__ == "__main__":
    unittest.main()
