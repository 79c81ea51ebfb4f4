"""Our clients and a server that means them ill: what it sends reaches no terminal raw, no number of it breaks a sum."""
import http.server
import json
import os
import pty
import subprocess
import threading
import unittest

from harness import BINARY, clean_environment

HOSTILE = "a\x1b[2J\x1b]0;title\x07\u009b31m\u202eb\r\n\tc\x7f"
SHOWN = "a\\x1b[2J\\x1b]0;title\\x07\\u009b31m\\u202eb\\r\n\tc\\x7f"
RAW = "\x1b\x07\x9b\u202e\x7f"
HUGE = 9223372036854775807


class Hostile(http.server.BaseHTTPRequestHandler):
    """Answers /text with a hostile text, /event and /status with hostile errors; its model's name is hostile, too."""

    def log_message(self, *_):
        pass

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200, "application/json", json.dumps({"data": [{"id": HOSTILE}]}).encode())

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        error = {"error": {"message": HOSTILE}}
        if self.path.startswith("/status"):
            return self.answer(400, "application/json", json.dumps(error).encode())
        usage = {"prompt_tokens": HUGE, "completion_tokens": HUGE, "total_tokens": HUGE}
        choice = {"index": 0, "delta": {"content": HOSTILE}, "text": HOSTILE, "finish_reason": "stop"}
        event = error if self.path.startswith("/event") else {"choices": [choice], "usage": usage}
        self.answer(200, "text/event-stream", f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode())


def on_terminal(command):
    """All that a terminal gets which is the command's standard output and error."""
    own, its = pty.openpty()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=its, stderr=its,
                               env={**clean_environment(), "NO_COLOR": "1"})  # our own colours are no fault
    os.close(its)
    output = b""
    try:
        while piece := os.read(own, 65536):
            output += piece
    except OSError:  # nobody holds its other end
        pass
    process.wait(30)
    os.close(own)
    return output.decode().replace("\r\n", "\n")


class HostileServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
        cls.url = f"http://127.0.0.1:{cls.server.server_port}"
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def assert_nothing_raw(self, output):
        for character in RAW:
            self.assertNotIn(character, output, repr(output))

    def chat(self, path):
        return [BINARY, "chat", "--url", self.url + path, "-q", "hi"]

    def test_an_answer_on_a_terminal(self):
        output = on_terminal(self.chat("/text"))
        self.assert_nothing_raw(output)
        self.assertIn(SHOWN, output)

    def test_an_answer_for_a_pipe_is_what_it_is(self):
        done = subprocess.run(self.chat("/text"), capture_output=True, timeout=30, env=clean_environment())
        self.assertEqual(done.stdout.decode(), HOSTILE + "\n")

    def test_errors(self):
        for path in ("/event", "/status"):
            output = on_terminal(self.chat(path))
            self.assert_nothing_raw(output)
            self.assertIn("error: " + SHOWN, output)

    def bench(self, *arguments):
        return [BINARY, "bench", "serve", "--base-url", self.url, "--num-prompts", "3", "--skip-tokenizer-init",
                "--input-len", "4", *arguments]

    def test_a_load(self):
        output = on_terminal(self.bench("--disable-tqdm"))
        self.assert_nothing_raw(output)
        self.assertIn("Successful requests:                     3 ", output)
        self.assertIn("Total generated tokens:                  3 ", output)
        self.assertIn("the server gave no usage", output)
        output = on_terminal(self.bench("--endpoint", "/status", "--disable-tqdm"))
        self.assert_nothing_raw(output)
        self.assertIn("3 failed: HTTP status 400: " + SHOWN, output)


if __name__ == "__main__":
    unittest.main()
