"""Hostile clients: each is answered with the right status, and the server lives on."""
import json
import re
import socket
import time
import unittest

from harness import Server

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
USER = [{"role": "user", "content": "hi"}]


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.max_model_len = json.loads(cls.server.get("/v1/models")[1])["data"][0]["max_model_len"]

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def tearDown(self):
        self.assertEqual(self.server.get("/health")[0], 200)
        status, answer, _ = self.server.post(TEXT, {"prompt": [5], "max_tokens": 1})
        self.assertEqual(status, 200, answer)

    def refuse(self, path, body, status=400, names=None):
        got, answer, _ = self.server.post(path, body)
        what = body[:200] if isinstance(body, bytes) else str(body)[:200]
        self.assertEqual(got, status, f"{what}: {answer[:300]}")
        error = json.loads(answer).get("error")
        if error is None:  # of what is no text at all
            self.assertEqual(json.loads(answer), {"detail": "There was an error parsing the body"}, what)
            return
        self.assertEqual(error["code"], status, what)
        if names is not None:
            self.assertIn(names, f"{error['param']} {error['message']}", what)

    def test_bodies_that_are_no_request(self):
        for body in (b"", b"{", b'{"messages": [', b"null", b"[]", b"\xff\xfe", b'"x"', b'{"messages": [{"role": "us',
                     b'{"messages": "\\ud800"}', b'{"messages": "\xff"}', b"[" * 100_000, b'{"a":' * 100_000,
                     b'{"model": "a\x00b", "messages": []}', b"{}", b'{"prompt": 1e400}', b"\xef\xbb\xbf{}"):
            for path in (CHAT, TEXT, "/tokenize", "/detokenize"):
                self.refuse(path, body)

    def test_ten_megabytes_of_json(self):
        big = b"x" * 10_000_000
        self.refuse(TEXT, b'{"prompt": "' + big + b'"}')  # longer than the context
        self.refuse(CHAT, b'{"messages": [{"role": "user", "content": "' + big + b'"}]}')
        self.refuse(CHAT, b'{"messages": [' + b'{"role":"user","content":"a"},' * 300_000 + b'{"role":"user","content":"a"}]}')
        self.refuse(TEXT, b'{"prompt": [' + b"1," * 5_000_000 + b"1]}")
        self.refuse(TEXT, b'{"prompt": "a", "stop": "' + big)

    def test_wrong_types_in_every_field(self):
        kinds = {"string": "x", "number": 1.5, "huge": 2**70, "bool": True, "list": [[]], "object": {"a": 1}, "negative": -7}
        wants = {  # field -> kinds that are no mistake
            "model": {"string"}, "temperature": {"number", "bool"}, "top_p": {"bool"}, "top_k": {"bool", "huge"},
            "min_p": {"bool"}, "repetition_penalty": {"number", "huge", "bool"}, "frequency_penalty": {"number", "bool"},
            "presence_penalty": {"number", "bool"}, "seed": {"negative", "bool"}, "n": {"bool"}, "stop": {"string"},
            "stop_token_ids": set(), "ignore_eos": {"bool"}, "min_tokens": {"bool"}, "max_tokens": {"bool"},
            "skip_special_tokens": {"bool"}, "allowed_token_ids": set(), "bad_words": set(),
            "truncate_prompt_tokens": {"bool"}, "prompt_logprobs": {"bool"}, "stream": {"bool"},
            "stream_options": set(), "logit_bias": set(), "include_stop_str_in_output": {"bool"},
            "return_token_ids": {"bool"}, "response_format": set(), "add_special_tokens": {"bool"}, "echo": {"bool"},
            "priority": {"bool", "negative"}, "logprobs": {"bool"},
        }
        chat_only = {"messages": set(), "tools": set(), "top_logprobs": set(), "max_completion_tokens": {"bool"},
                     "add_generation_prompt": {"bool"}, "continue_final_message": set(), "chat_template_kwargs": {"object"},
                     "tool_choice": set()}
        text_only = {"prompt": {"string"}, "suffix": set()}
        for path, base, fields in ((CHAT, {"messages": USER}, {**wants, **chat_only}),
                                   (TEXT, {"prompt": "hi"}, {**wants, **text_only})):
            for field, allowed in fields.items():
                for kind, value in kinds.items():
                    if kind in allowed or (field == "model" and kind == "string"):
                        continue
                    status, answer, _ = self.server.post(path, {"max_tokens": 1, **base, field: value})
                    self.assertEqual(status, 400, f"{path} {field}={value}: {status} {answer[:200]}")
                    error = json.loads(answer)["error"]
                    self.assertIn(field.split("_")[0], f"{error['param']} {error['message']}", f"{field}={value}")

    def test_values_out_of_range(self):
        for field, value in (("n", 0), ("n", 10**9), ("temperature", -0.1), ("top_p", 0), ("top_p", 1.01), ("top_k", -2),
                             ("min_p", 1.5), ("repetition_penalty", 0), ("frequency_penalty", 2.1), ("presence_penalty", -3),
                             ("max_tokens", -1), ("min_tokens", 99), ("logit_bias", {"99999999": 1}), ("logit_bias", {"x": 1}),
                             ("stop_token_ids", [10**9]), ("allowed_token_ids", [10**7]), ("prompt_logprobs", -2),
                             ("max_tokens", self.max_model_len + 1), ("truncation_side", "up")):
            self.refuse(TEXT, {"prompt": "hi", "max_tokens": 4, field: value}, names=field.split("_")[0])
        for text in ("NaN", "Infinity", "-Infinity", "1e400"):
            self.refuse(TEXT, b'{"prompt": "hi", "temperature": ' + text.encode() + b"}")
        self.refuse(TEXT, {"prompt": "hi", "stop": ["x%d" % i for i in range(1_000_000)]}, names="stop")
        self.refuse(TEXT, {"prompt": [10**7]}, names="prompt")
        self.refuse(TEXT, {"prompt": [-1]}, names="prompt")
        self.refuse(TEXT, {"prompt": []}, names="prompt")
        self.refuse(CHAT, {"messages": []}, names="messages")
        self.refuse(CHAT, {"messages": [{"role": 5, "content": "x"}]}, names="role")
        self.refuse(CHAT, {"messages": [{"role": "user", "content": {"x": 1}}]}, names="content")
        self.refuse(CHAT, {"messages": USER, "model": "gpt-4"}, status=404)
        self.refuse(CHAT, {"messages": USER, "top_logprobs": 3}, names="logprobs")
        self.refuse(CHAT, {"messages": USER, "stream_options": {"include_usage": True}}, names="stream")

    def test_prompts_around_the_context(self):
        n = self.max_model_len
        self.refuse(TEXT, {"prompt": [5] * (n + 1), "max_tokens": 1}, names="context")
        self.refuse(TEXT, {"prompt": [5] * n, "max_tokens": 1}, names="context")
        answer = self.server.json(TEXT, {"prompt": [5] * (n - 1), "max_tokens": 1, "ignore_eos": True})
        self.assertEqual(answer["usage"]["completion_tokens"], 1)
        answer = self.server.json(TEXT, {"prompt": [5] * (n + 50), "truncate_prompt_tokens": n - 8, "max_tokens": 8})
        self.assertEqual(answer["usage"]["prompt_tokens"], n - 8)

    def test_framing_that_smuggles(self):
        body = b'{"prompt": [5], "max_tokens": 1}'
        head = b"POST /v1/completions HTTP/1.1\r\n"
        length = b"Content-Length: %d\r\n" % len(body)
        cases = {  # name -> (bytes, statuses)
            "two lengths": (head + b"Host: x\r\n" + length + b"Content-Length: 3\r\n\r\n" + body, (400,)),
            "length and chunked": (head + b"Host: x\r\n" + length + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
            "xchunked": (head + b"Host: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", (400, 501)),
            "chunked, identity": (head + b"Host: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", (400, 501)),
            "chunked under 1.0": (b"POST /v1/completions HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
            "space before colon": (head + b"Host: x\r\nContent-Length : 4\r\n\r\nabcd", (400,)),
            "folded header": (head + b"Host: x\r\nX: a\r\n b\r\n" + length + b"\r\n" + body, (400,)),
            "no host": (head + length + b"\r\n" + body, (400,)),
            "two hosts": (head + b"Host: x\r\nHost: y\r\n" + length + b"\r\n" + body, (400,)),
            "bare newlines": (head.replace(b"\r", b"") + b"Host: x\n" + length.replace(b"\r", b"") + b"\n" + body, (400,)),
            "negative length": (head + b"Host: x\r\nContent-Length: -1\r\n\r\n", (400,)),
            "huge length": (head + b"Host: x\r\nContent-Length: 99999999999999999999\r\n\r\n", (400, 413)),
            "too large": (head + b"Host: x\r\nContent-Length: 9999999999\r\n\r\n", (413,)),
            "bad chunk": (head + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", (400,)),
            "endless chunk size": (head + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", (400, 413)),
            "null in header": (head + b"Host: x\r\nA: b\0c\r\n\r\n", (400,)),
            "headers without end": (head + b"Host: x\r\n" + b"A: " + b"b" * 200_000, (431, 400)),
            "many headers": (head + b"Host: x\r\n" + b"A: b\r\n" * 5_000 + b"\r\n", (431, 400)),
            "not http": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (400,)),
            "long target": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (414, 431, 400)),
        }
        for name, (data, statuses) in cases.items():
            with self.subTest(name):
                answer = self.server.raw(data, timeout=5)
                self.assertRegex(answer, rb"^HTTP/1\.[01] \d\d\d ", name)
                self.assertIn(int(answer[9:12]), statuses, answer[:200])
                self.assertEqual(len(re.findall(rb"(?m)^HTTP/1\.", answer)), 1, "one answer, then the connection is closed")

    def test_good_framing_still_works(self):
        body = b'{"prompt": [5], "max_tokens": 1}'
        chunked = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunked += b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 5]), body[i:i + 5]) for i in range(0, len(body), 5)) + b"0\r\n\r\n"
        plain = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        answer = self.server.raw(chunked + plain)  # pipelined
        self.assertEqual(answer.count(b"HTTP/1.1 200"), 2, answer)

    def test_a_byte_a_second(self):
        with socket.create_connection(("127.0.0.1", self.server.port)) as slow:
            started = time.monotonic()
            slow.settimeout(1)
            cut_off = False
            for byte in b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n":
                try:
                    slow.sendall(bytes([byte]))
                    if time.monotonic() - started > 3:
                        self.assertEqual(self.server.get("/health")[0], 200)
                    if slow.recv(4096)[9:12] in (b"408", b""):
                        cut_off = True
                        break
                except socket.timeout:
                    continue
                except ConnectionError:
                    cut_off = True
                    break
            self.assertTrue(cut_off, "a client that dribbles its headers is cut off")
            self.assertLess(time.monotonic() - started, 30)


if __name__ == "__main__":
    unittest.main()
