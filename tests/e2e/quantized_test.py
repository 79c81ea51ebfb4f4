"""The demo model with quantized weights: a request gets the same ids and log-probabilities alone and among 31 others."""
import threading
import unittest

from harness import Server, in_threads, wait_until

MESSAGES = [{"role": "user", "content": "What is continuous batching, and why is it fast?"}]
REQUESTS = [
    {"messages": MESSAGES, "temperature": 0, "max_tokens": 120, "ignore_eos": True},
    {"messages": MESSAGES, "temperature": 1.3, "seed": 7, "max_tokens": 120, "ignore_eos": True},
]
EXTRA = {"logprobs": True, "top_logprobs": 5, "return_token_ids": True}
FORMATS = {"none": ("BF16",), "int8": ("INT8",), "int4": ("INT4", "INT8"), "int4-g32-zp": ("INT4", "zero points")}


class Quantized(unittest.TestCase):
    @staticmethod
    def ask(server, request):
        choice = server.json("/v1/chat/completions", {**request, **EXTRA})["choices"][0]
        return choice["token_ids"], choice["logprobs"]["content"]

    @staticmethod
    def company(server, count):
        def other(index):
            server.post("/v1/chat/completions", {
                "messages": [{"role": "user", "content": f"Tell me about topic {index}. " * (1 + index % 9)}],
                "max_tokens": 150 + index * 3 % 160, "temperature": index % 3 / 2, "ignore_eos": True})
        thread = threading.Thread(target=in_threads, args=(count, other))
        thread.start()
        return thread

    def check(self, quantization):
        answers = []
        for threads in (1, 2):
            with Server("--quantization", quantization, "--threads", threads, "--max-num-batched-tokens", 96) as server:
                loaded = next(line for line in server.output().splitlines() if "Loaded" in line)
                for word in FORMATS[quantization]:
                    self.assertIn(word, loaded)
                answers.append([self.ask(server, request) for request in REQUESTS])
                others = self.company(server, 31)
                wait_until(lambda: server.metric("vllm:num_requests_running") > 20)
                answers.append(in_threads(len(REQUESTS), lambda index: self.ask(server, REQUESTS[index])))
                others.join()
        for answer in answers[1:]:
            self.assertEqual(answer, answers[0])
        for ids, logprobs in answers[0]:
            self.assertEqual((len(ids), len(logprobs)), (120, 120))
        return answers[0]

    def test_the_same_among_31_others(self):
        seen = []
        for quantization in FORMATS:
            with self.subTest(quantization):
                answer = self.check(quantization)
                self.assertNotIn(answer, seen, "quantization did nothing")
                seen.append(answer)


if __name__ == "__main__":
    unittest.main()
