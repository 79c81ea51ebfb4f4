"""Answers and stream chunks against OpenAI's own API description."""
import json
import unittest

import jsonschema

from harness import DATA, Server

OPENAPI = DATA / "openai" / "openapi.json"
USER = [{"role": "user", "content": "What is Pagoda?"}]


def to_json_schema(node):
    """OpenAPI 3.0 says `nullable: true` where JSON Schema has a type list."""
    if isinstance(node, list):
        return [to_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    out = {key: to_json_schema(value) for key, value in node.items()
           if key not in ("nullable", "discriminator", "example", "examples", "format")}
    return {"anyOf": [out, {"type": "null"}]} if node.get("nullable") is True else out


@unittest.skipUnless(OPENAPI.is_file(), "no test data: set PAGODA_TEST_DATA to the folder that holds openai/openapi.json")
class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        components = json.loads(OPENAPI.read_text())["components"]
        cls.components = {"schemas": to_json_schema(components["schemas"])}
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def check(self, name, instance):
        schema = {"$ref": f"#/components/schemas/{name}", "components": self.components}
        errors = list(jsonschema.Draft202012Validator(schema).iter_errors(instance))
        self.assertEqual([], [f"{list(e.absolute_path)}: {e.message[:200]}" for e in errors], name)

    def stream(self, path, body):
        text = self.server.post(path, {**body, "stream": True, "stream_options": {"include_usage": True}})[1].decode()
        events = [event.removeprefix("data: ") for event in text.split("\n\n") if event]
        self.assertEqual(events.pop(), "[DONE]")
        return [json.loads(event) for event in events]

    def test_chat(self):
        for extra in ({}, {"n": 2}, {"logprobs": True, "top_logprobs": 2}, {"max_tokens": 1}):
            body = {"messages": USER, "max_tokens": 12, **extra}
            self.check("CreateChatCompletionResponse", self.server.json("/v1/chat/completions", body))
            for chunk in self.stream("/v1/chat/completions", body):
                self.check("CreateChatCompletionStreamResponse", chunk)

    def test_completions(self):
        for extra in ({}, {"n": 2}, {"logprobs": 2}, {"echo": True, "logprobs": 1}, {"prompt": ["a", "b"]}):
            body = {"model": json.loads(self.server.get("/v1/models")[1])["data"][0]["id"], "prompt": "Pagoda",
                    "max_tokens": 5, **extra}
            answer = self.server.json("/v1/completions", body)
            self.score_first_token(answer)
            self.check("CreateCompletionResponse", answer)
            chunks = self.stream("/v1/completions", body)
            for chunk in chunks:
                # A chunk of a text completion is the same object with a choice that is still open.
                for choice in chunk["choices"]:
                    choice["finish_reason"] = choice["finish_reason"] or "stop"
                self.score_first_token(chunk)
                self.check("CreateCompletionResponse", chunk)

    @staticmethod
    def score_first_token(answer):
        """Under echo nothing predicts the first token: its log-probability is null, which the description does not know."""
        for choice in answer["choices"]:
            logprobs = choice["logprobs"]
            if logprobs and logprobs["token_logprobs"] and logprobs["token_logprobs"][0] is None:
                logprobs["token_logprobs"][0], logprobs["top_logprobs"][0] = 0.0, {}

    def test_models_and_errors(self):
        self.check("ListModelsResponse", json.loads(self.server.get("/v1/models")[1]))
        for path, body in (("/v1/chat/completions", {"messages": USER, "n": 0}), ("/v1/completions", {"prompt": 1.5}),
                           ("/v1/chat/completions", {"messages": USER, "model": "none"})):
            error = json.loads(self.server.post(path, body)[1])
            error["error"]["code"] = str(error["error"]["code"])  # vLLM's code is the HTTP status as a number
            self.check("ErrorResponse", error)


if __name__ == "__main__":
    unittest.main()
