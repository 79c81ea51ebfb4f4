"""The built-in model: what it was taught, when it declines, and the ids that an independent forward pass gave."""
import json
import subprocess
import sys
import unittest

from harness import SOURCE, Server

DEMO = SOURCE / "demo"


class Demo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def check(self, file):
        done = subprocess.run([sys.executable, DEMO / "check_answers.py", "--url", self.server.url, "--files", file],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-1000:])

    def test_held_out_questions(self):
        self.check("heldout.json")

    def test_it_says_when_it_does_not_know(self):
        self.check("unknown.json")

    def test_golden_chats(self):
        for case in json.loads((DEMO / "golden.json").read_text()):
            tokens = json.loads(self.server.post("/tokenize", {"messages": case["messages"]})[1])["tokens"]
            self.assertEqual(tokens, case["prompt_ids"])
            answer = self.server.json("/v1/completions", {
                "prompt": tokens, "temperature": 0, "max_tokens": len(case["output_ids"]), "return_token_ids": True,
                "skip_special_tokens": True})["choices"][0]
            self.assertEqual(answer["token_ids"], case["output_ids"])
            self.assertEqual(answer["text"].strip(), case["output_text"].strip())

    def test_a_tool_call_has_the_hermes_form(self):
        called = 0
        cases = json.loads((DEMO / "tools.json").read_text())
        for case in cases:
            body = {"messages": case.get("messages") or [{"role": "user", "content": case["question"]}],
                    "tools": case["tools"], "tool_choice": None, "temperature": 0, "max_tokens": 120}
            text = self.server.json("/v1/chat/completions", body)["choices"][0]["message"]["content"]
            if "<tool_call>" not in text:
                continue
            call = json.loads(text.split("<tool_call>")[1].split("</tool_call>")[0])
            self.assertIn(call["name"], [tool["function"]["name"] for tool in case["tools"]])
            self.assertIsInstance(call["arguments"], dict)
            called += 1
        self.assertGreaterEqual(called, len(cases) // 2)


if __name__ == "__main__":
    unittest.main()
