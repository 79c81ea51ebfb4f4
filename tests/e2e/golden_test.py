"""stories260K over HTTP against the ids and logits that karpathy's run.c made: alone, in company, and preempted."""
import array
import json
import math
import threading
import unittest

from harness import STORIES, Server, in_threads, wait_until

REQUEST = {"prompt": [1], "temperature": 0, "max_tokens": 199, "logprobs": 0, "return_token_ids": True, "ignore_eos": True}


@unittest.skipUnless(STORIES.is_dir(), "no test data: set PAGODA_TEST_DATA to the folder that holds models/stories260K")
class Golden(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.golden = json.loads((STORIES / "golden.json").read_text())
        cls.logits = array.array("f", (STORIES / "logits_run_c.f32").read_bytes())
        with Server(STORIES, "--dtype", "float32", "--threads", "1") as server:
            cls.alone = cls.ask(server, None)

    @staticmethod
    def ask(server, _):
        choice = server.json("/v1/completions", REQUEST)["choices"][0]
        return choice["token_ids"], choice["logprobs"]["token_logprobs"]

    def golden_ids(self):
        ids = next(v for v in self.golden.values() if isinstance(v, list) and len(v) >= 200)
        return ids[1:200] if ids[0] == 1 else ids[:199]

    def test_ids_and_log_probabilities(self):
        ids, logprobs = self.alone
        self.assertEqual(ids, self.golden_ids())
        for position, (token, logprob) in enumerate(zip(ids, logprobs)):
            row = self.logits[position * 512: (position + 1) * 512]
            top = max(row)
            expected = row[token] - top - math.log(sum(math.exp(x - top) for x in row))
            self.assertAlmostEqual(logprob, expected, delta=1e-4, msg=f"position {position}")

    def company(self, server, count):
        """Starts requests of mixed lengths, temperatures and choices that run beside the one that is compared."""
        def other(index):
            server.post("/v1/completions", {"prompt": [1] + [3 + (index * 7 + i) % 500 for i in range(index * 5 % 200)],
                                            "max_tokens": 20 + index * 3 % 160, "temperature": index % 3 / 2,
                                            "n": 1 + index % 2 if index % 3 else 1, "ignore_eos": True})
        thread = threading.Thread(target=in_threads, args=(count, other))
        thread.start()
        return thread

    def test_the_same_among_63_others(self):
        for threads in (1, 2, 3):
            with Server(STORIES, "--dtype", "float32", "--threads", threads, "--max-num-batched-tokens", 96) as server:
                others = self.company(server, 63)
                wait_until(lambda: server.metric("vllm:num_requests_running") > 8)
                self.assertEqual(self.ask(server, None), self.alone)
                others.join()

    def test_the_same_when_preempted(self):
        with Server(STORIES, "--dtype", "float32", "--num-gpu-blocks-override", 80, "--max-num-seqs", 32) as server:
            others = self.company(server, 31)
            answers = in_threads(3, lambda index: self.ask(server, index))
            others.join()
            self.assertGreater(server.metric("vllm:num_preemptions_total"), 0, "the cache was not small enough")
            for answer in answers:
                self.assertEqual(answer, self.alone)
            wait_until(lambda: server.metric("vllm:kv_cache_usage_perc") == 0)


if __name__ == "__main__":
    unittest.main()
