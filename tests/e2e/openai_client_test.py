"""The `openai` package against a server with the built-in model: what a user's code does, unchanged."""
import json
import unittest

import openai

from harness import Server, in_threads, wait_until

KEY = {"Authorization": "Bearer secret"}
QUESTION = [{"role": "user", "content": "What is Pagoda?"}]


class OpenAiClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--api-key", "secret", "--enable-request-id-headers")
        cls.client = openai.OpenAI(base_url=f"{cls.server.url}/v1", api_key="secret", max_retries=0)
        cls.model = cls.client.models.list().data[0].id

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def chat(self, **options):
        return self.client.chat.completions.create(model=self.model, messages=QUESTION, **options)

    def test_models(self):
        card = self.client.models.list().data[0]
        self.assertEqual((card.object, card.owned_by), ("model", "vllm"))
        self.assertGreater(card.max_model_len, 0)
        self.assertEqual(self.client.models.retrieve(self.model).id, self.model)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("nothing")

    def test_chat(self):
        answer = self.chat(temperature=0, max_tokens=60)
        self.assertIn("engine", answer.choices[0].message.content.lower())
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        usage = answer.usage
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        self.assertTrue(answer.id.startswith("chatcmpl-"))

    def test_stream_equals_whole(self):
        whole = self.chat(temperature=0, max_tokens=60)
        chunks = list(self.chat(temperature=0, max_tokens=60, stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual([c.choices[0].finish_reason for c in chunks if c.choices][-1], "stop")
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage, whole.usage)
        self.assertGreater(len(chunks), 4)

    def test_seeded_answers_repeat_whatever_else_runs(self):
        def ask(_):
            return self.chat(temperature=2, top_p=1, seed=7, max_tokens=30).choices[0].message.content
        alone = ask(0)
        self.assertEqual(set(in_threads(12, ask)), {alone})
        others = {self.chat(temperature=2, top_p=1, seed=s, max_tokens=30).choices[0].message.content for s in range(8)}
        self.assertGreater(len(others), 1)

    def test_several_choices(self):
        answer = self.chat(temperature=2, top_p=1, n=3, seed=1, max_tokens=12)
        self.assertEqual([c.index for c in answer.choices], [0, 1, 2])
        again = self.chat(temperature=2, top_p=1, n=3, seed=1, max_tokens=12)
        self.assertEqual([c.message.content for c in answer.choices], [c.message.content for c in again.choices])
        streamed = ["", "", ""]
        for chunk in self.chat(temperature=2, top_p=1, n=3, seed=1, max_tokens=12, stream=True):
            for choice in chunk.choices:
                streamed[choice.index] += choice.delta.content or ""
        self.assertEqual(streamed, [c.message.content for c in answer.choices])

    def test_log_probabilities(self):
        choice = self.chat(temperature=0, max_tokens=8, logprobs=True, top_logprobs=3).choices[0]
        content = choice.logprobs.content
        self.assertLessEqual(len(content), 8)
        for entry in content:
            self.assertEqual(len(entry.top_logprobs), 3)
            self.assertEqual(entry.logprob, max(t.logprob for t in entry.top_logprobs))
            self.assertEqual(bytes(entry.bytes).decode(errors="replace"), entry.token)

    def test_stop_strings(self):
        whole = self.chat(temperature=0, max_tokens=60).choices[0].message.content
        stop = whole[10:14]
        choice = self.chat(temperature=0, max_tokens=60, stop=[stop]).choices[0]
        self.assertEqual(choice.message.content, whole[: whole.index(stop)])
        self.assertEqual((choice.finish_reason, choice.stop_reason), ("stop", stop))
        kept = self.chat(temperature=0, max_tokens=60, stop=stop, extra_body={"include_stop_str_in_output": True})
        self.assertEqual(kept.choices[0].message.content, whole[: whole.index(stop) + len(stop)])
        wait_until(lambda: self.server.metric("vllm:num_requests_running") == 0)

    def test_completions(self):
        answer = self.client.completions.create(model=self.model, prompt="Pagoda is", temperature=0, max_tokens=5)
        self.assertEqual((answer.usage.completion_tokens, answer.choices[0].finish_reason), (5, "length"))
        several = self.client.completions.create(model=self.model, prompt=["Pagoda is", "A token is"], temperature=0,
                                                 max_tokens=5)
        self.assertEqual([c.index for c in several.choices], [0, 1])
        self.assertEqual(several.choices[0].text, answer.choices[0].text)
        tokens = json.loads(self.server.post("/tokenize", {"prompt": "Pagoda is"}, KEY)[1])["tokens"]
        by_ids = self.client.completions.create(model=self.model, prompt=tokens, temperature=0, max_tokens=5)
        self.assertEqual(by_ids.choices[0].text, answer.choices[0].text)

    def test_echo_and_prompt_log_probabilities(self):
        answer = self.client.completions.create(model=self.model, prompt="Pagoda is", temperature=0, max_tokens=3,
                                                echo=True, logprobs=1)
        choice = answer.choices[0]
        self.assertTrue(choice.text.startswith("Pagoda is"))
        self.assertIsNone(choice.logprobs.token_logprobs[0])
        self.assertEqual(len(choice.logprobs.tokens), answer.usage.total_tokens)
        self.assertEqual("".join(choice.logprobs.tokens), choice.text)
        scored = self.client.completions.create(model=self.model, prompt="Pagoda is", temperature=0, max_tokens=0,
                                                echo=True, logprobs=0)
        self.assertEqual(scored.choices[0].text, "Pagoda is")
        self.assertEqual(scored.choices[0].logprobs.token_logprobs[1:],
                         choice.logprobs.token_logprobs[1: answer.usage.prompt_tokens])

    def test_keys(self):
        for key in ("wrong", "", "secre", "secret2"):
            with self.assertRaises(openai.AuthenticationError):
                openai.OpenAI(base_url=f"{self.server.url}/v1", api_key=key or "x", max_retries=0).models.list()
        self.assertEqual(self.server.get("/v1/models")[0], 401)
        self.assertEqual(self.server.get("/health")[0], 200)

    def test_unknown_model(self):
        with self.assertRaises(openai.NotFoundError):
            self.client.chat.completions.create(model="gpt-4", messages=QUESTION)

    def test_tokenize_and_back(self):
        body = {"messages": QUESTION}
        tokens = json.loads(self.server.post("/tokenize", body, KEY)[1])
        self.assertEqual(tokens["count"], len(tokens["tokens"]))
        text = json.loads(self.server.post("/detokenize", {"tokens": tokens["tokens"]}, KEY)[1])["prompt"]
        self.assertIn("What is Pagoda?", text)
        answer = self.chat(max_tokens=1)
        self.assertEqual(answer.usage.prompt_tokens, tokens["count"])

    def test_small_routes(self):
        self.assertEqual(self.server.get("/health")[:2], (200, b""))
        self.assertEqual(self.server.get("/ping")[0], 200)
        self.assertEqual(self.server.post("/ping", {})[0], 200)
        self.assertIn("version", json.loads(self.server.get("/version")[1]))
        self.assertEqual(self.server.get("/nothing")[0], 401)  # without the key not even that is told
        self.assertEqual(self.server.get("/nothing", KEY)[0], 404)
        self.assertEqual(self.server.get("/v1/chat/completions", KEY)[0], 405)
        headers = self.server.get("/health", {"X-Request-Id": "abc"})[2]
        self.assertEqual({k.lower(): v for k, v in headers.items()}.get("x-request-id"), "abc")


if __name__ == "__main__":
    unittest.main()
