"""Usage in streams, read as clients of OpenAI's package read it."""
import unittest

import openai

from harness import Server

CHAT = {"model": "pagoda-demo", "messages": [{"role": "user", "content": "What is Pagoda?"}], "max_tokens": 6, "stream": True}
NO_USAGE = ({}, {"include_usage": None}, {"include_usage": False}, {"continuous_usage_stats": True},
            {"include_obfuscation": False}, {"other": 1}, None)


def client_of(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0)


class StreamOptions(unittest.TestCase):
    def streams(self, client, options):
        extra = {"stream_options": options}
        yield list(client.chat.completions.create(**CHAT, extra_body=extra))
        yield list(client.completions.create(model="", prompt="Pagoda", max_tokens=6, stream=True, extra_body=extra))

    def test_without_include_usage_every_chunk_has_a_choice(self):
        with Server() as server:
            client = client_of(server)
            for options in NO_USAGE:
                for chunks in self.streams(client, options):
                    for chunk in chunks:
                        self.assertEqual(len(chunk.choices), 1, options)
                        self.assertIsNone(chunk.usage, options)
            for chunks in self.streams(client, {"include_usage": True}):
                self.assertEqual(chunks[-1].choices, [])
                self.assertEqual(chunks[-1].usage.completion_tokens, 6)
                self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))
            for chunks in self.streams(client, {"include_usage": True, "continuous_usage_stats": True}):
                self.assertTrue(all(chunk.usage is not None for chunk in chunks))

    def test_options_need_a_stream(self):
        with Server() as server:
            for body in (CHAT, {"prompt": "x", "max_tokens": 1}):
                path = "/v1/chat/completions" if "messages" in body else "/v1/completions"
                whole = {key: value for key, value in body.items() if key != "stream"}
                for options, status in (({}, 200), (None, 200), ({"include_usage": True}, 400), ({"include_usage": False}, 400)):
                    got, answer, _ = server.post(path, {**whole, "stream_options": options})
                    self.assertEqual(got, status, (options, answer))

    def test_forced_usage_is_on_every_chunk(self):
        with Server("--enable-force-include-usage", "--enable-prompt-tokens-details") as server:
            client = client_of(server)
            for options in ({}, {"include_usage": False}):
                for chunks in self.streams(client, options):
                    self.assertTrue(all(chunk.usage is not None for chunk in chunks), options)
                    self.assertEqual(chunks[-1].choices, [])
                    self.assertIsNotNone(chunks[-1].usage.prompt_tokens_details.model_extra["created_cache_tokens"])
                    self.assertIsNone(chunks[0].usage.prompt_tokens_details)


if __name__ == "__main__":
    unittest.main()
