"""The same answer under any load: a calm server, one request after the other and no cache, against one that has too little
of everything: few blocks, small steps, shared prefixes, forks, preemptions, offloading."""
import os
import tempfile
import threading
import unittest

from harness import Server, in_threads

SYSTEM = "You are the keeper of a very small library. Answer in one sentence, politely, and never mention the weather. " * 4


def requests():
    out = []
    for i in range(36):
        request = {"messages": [{"role": "system", "content": SYSTEM if i % 3 else SYSTEM[: 150 + 40 * i]},
                                {"role": "user", "content": f"Question {i}: what is block {i % 7}? " * (1 + i % 5)}],
                   "max_tokens": 20 + 7 * i % 90, "ignore_eos": True, "seed": i,
                   "temperature": (0, 0.9)[i % 2]}
        if i % 4 == 3:
            request.update(n=3, temperature=1.0)
        out.append(request)
    return out


def ask(server, request):
    reply = server.json("/v1/chat/completions", {**request, "logprobs": True, "top_logprobs": 3, "return_token_ids": True})
    return ([(c["token_ids"], c["logprobs"]["content"], c["finish_reason"]) for c in reply["choices"]],
            reply["usage"]["prompt_tokens_details"]["cached_tokens"])


class SameAnswer(unittest.TestCase):
    def crowded(self, *flags):
        """Answers and cached tokens of all requests, twice, asked by 12 clients at once."""
        order, lock = list(range(2 * len(self.todo))), threading.Lock()
        answers = [None] * len(order)
        with Server("--num-gpu-blocks-override", "72", "--max-model-len", "640", "--max-num-batched-tokens", "48",
                    "--enable-prompt-tokens-details", *flags) as server:
            def client(_):
                while True:
                    with lock:
                        if not order:
                            return
                        i = order.pop(0)
                    answers[i] = ask(server, self.todo[i % len(self.todo)])
            in_threads(12, client)
            counters = {name: server.metric(name) for name in
                        ("vllm:num_preemptions_total", "vllm:prefix_cache_hits_total", "vllm:external_prefix_cache_hits_total")}
        return answers, counters

    @classmethod
    def setUpClass(cls):
        cls.todo = requests()
        with Server("--no-enable-prefix-caching", "--max-model-len", "640", "--enable-prompt-tokens-details") as server:
            cls.calm = [ask(server, request)[0] for request in cls.todo]

    def check(self, *flags):
        answers, counters = self.crowded(*flags)
        for i, (choices, _) in enumerate(answers):
            self.assertEqual(choices, self.calm[i % len(self.calm)], f"request {i % len(self.calm)} {flags}")
        return answers, counters

    def test_prefixes_forks_and_preemptions(self):
        answers, counters = self.check()
        self.assertGreater(counters["vllm:num_preemptions_total"], 0)
        self.assertGreater(counters["vllm:prefix_cache_hits_total"], 1000)
        self.assertGreater(sum(cached for _, cached in answers), 1000)

    def test_policies_and_chunks(self):
        self.check("--scheduling-policy", "fair", "--no-adaptive-chunks", "--prefix-caching-hash-algo", "xxhash")
        self.check("--itl-slo-ms", "5", "--watermark", "0.1")

    def test_two_plans_in_flight(self):
        _, counters = self.check("--async-scheduling")
        self.assertGreater(counters["vllm:num_preemptions_total"], 0)

    def test_offload(self):
        with tempfile.TemporaryDirectory() as folder:
            _, counters = self.check("--kv-offloading-size", "0.01", "--kv-offloading-path", os.path.join(folder, "kv"),
                                     "--kv-offloading-disk-size", "0.05")
            self.assertGreater(counters["vllm:external_prefix_cache_hits_total"], 0)


if __name__ == "__main__":
    unittest.main()
