"""How the server begins and ends, and the commands beside it."""
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from harness import BINARY, SOURCE, Server, clean_environment, wait_until

LONG = {"prompt": [5], "max_tokens": 600, "ignore_eos": True}


def run(*arguments, stdin="", code=0, environment=None):
    done = subprocess.run([BINARY, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=60,
                          env={**clean_environment(), **(environment or {})})
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


class Lifecycle(unittest.TestCase):
    def test_both_signals_drain_and_exit_with_0(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with Server() as server:
                answers = []
                client = threading.Thread(target=lambda: answers.append(server.post("/v1/completions", LONG)))
                client.start()
                wait_until(lambda: server.metric("vllm:num_requests_running") == 1)
                server.process.send_signal(number)
                client.join()
                self.assertEqual(answers[0][0], 200)
                self.assertEqual(json.loads(answers[0][1])["usage"]["completion_tokens"], 600)
                self.assertEqual(server.process.wait(20), 0)

    def test_requests_that_take_too_long_are_cut_off(self):
        with Server("--shutdown-timeout", 0, "--max-num-batched-tokens", 8) as server:
            def ask():
                try:
                    server.post("/v1/completions", LONG)
                except Exception:  # noqa: S110: the connection may end in any way
                    pass
            clients = [threading.Thread(target=ask) for _ in range(32)]
            for client in clients:
                client.start()
            wait_until(lambda: server.metric("vllm:num_requests_running") > 0)
            started = time.monotonic()
            server.stop()
            self.assertLess(time.monotonic() - started, 10)
            for client in clients:
                client.join()

    def test_long_work_on_text_does_not_hold_up_the_end(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jinja") as template:
            template.write("{% for a in range(4000) %}{% for b in range(4000) %}{% endfor %}{% endfor %}")
            template.flush()
            with Server("--chat-template", template.name, "--shutdown-timeout", 1) as server:
                answers = []
                def ask(path):
                    answers.append(server.post(path, {"messages": [{"role": "user", "content": "x"}]}))
                clients = [threading.Thread(target=ask, args=(path,)) for path in ("/tokenize", "/v1/chat/completions") * 8]
                for client in clients:
                    client.start()
                time.sleep(0.3)
                started = time.monotonic()
                server.stop(signal.SIGTERM)
                self.assertLess(time.monotonic() - started, 4)
                for client in clients:
                    client.join()
                self.assertEqual(len(answers), len(clients), "everybody has an answer")
                for status, body, _ in answers:  # some templates have used up their steps before
                    self.assertIn(status, (400, 503))
                    self.assertIn("shutting down" if status == 503 else "steps", json.loads(body)["error"]["message"])

    def test_a_killed_server_leaves_its_port_free(self):
        with Server() as server:
            port = server.port
            server.process.kill()
            server.process.wait()
            server.process.returncode = 0
            again = subprocess.Popen([BINARY, "serve", "--port", str(port)], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            try:
                def listening():
                    with socket.socket() as probe:
                        return probe.connect_ex(("127.0.0.1", port)) == 0
                wait_until(listening)
            finally:
                again.send_signal(signal.SIGINT)
                self.assertEqual(again.wait(20), 0)

    def test_a_taken_port_is_said_at_once(self):
        with Server() as server:
            _, error = run("serve", "--port", server.port, code=1)
            self.assertIn(f"{server.port}", error)
            self.assertIn("--port", error)

    def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pagoda.sock")
            process = subprocess.Popen([BINARY, "serve", "--uds", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_until(lambda: os.path.exists(path))

                def healthy():
                    with socket.socket(socket.AF_UNIX) as client:
                        if client.connect_ex(path) != 0:
                            return False
                        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                        return client.recv(100).startswith(b"HTTP/1.1 200")
                wait_until(healthy)
            finally:
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(20), 0)

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            key, cert = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
            made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
                                   "-days", "1", "-subj", "/CN=localhost"], capture_output=True)
            if made.returncode != 0:
                self.skipTest("no openssl command")
            import ssl
            with Server("--ssl-keyfile", key, "--ssl-certfile", cert) as server:
                context = ssl.create_default_context(cafile=cert)
                client = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=20)
                client.request("GET", "/health")
                self.assertEqual(client.getresponse().status, 200)
                client.close()
                self.assertNotIn(b"200", server.raw(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", timeout=3)[:20])
            both = ("--ssl-certfile", cert, "--ssl-keyfile", key)
            for arguments, flag in (((*both, "--ssl-ciphers", "NO-SUCH"), "--ssl-ciphers: "),
                                    ((*both, "--ssl-ciphers", "NULL"), "--ssl-ciphers: "),
                                    (("--ssl-ciphers", "NO-SUCH"), "--ssl-ciphers"),
                                    ((*both, "--ssl-certfile", key), "--ssl-certfile: "),
                                    ((*both, "--ssl-certfile", folder), "--ssl-certfile: "),
                                    ((*both, "--ssl-keyfile", cert), "--ssl-keyfile: "),
                                    ((*both, "--ssl-keyfile", "/nowhere"), "--ssl-keyfile: "),
                                    ((*both, "--ssl-cert-reqs", "1"), "--ssl-ca-certs: "),
                                    ((*both, "--ssl-cert-reqs", "3"), "--ssl-cert-reqs "),
                                    ((*both, "--ssl-cert-reqs", "x"), "--ssl-cert-reqs: "),
                                    ((*both, "--ssl-ca-certs", key), "--ssl-ca-certs: "),
                                    (("--uds", "x" * 200), "--uds: ")):
                with self.subTest(arguments=arguments[-2:]):
                    self.assertIn(flag, run("serve", "--port", "0", *arguments, code=1)[1])

    def test_dummy_weights_of_any_shape(self):
        config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 96, "num_hidden_layers": 3,
                  "num_attention_heads": 6, "num_key_value_heads": 3, "intermediate_size": 200, "vocab_size": 3000,
                  "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "torch_dtype": "bfloat16"}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(config, file)
            file.flush()
            with Server("--load-format", "dummy", "--hf-config", file.name) as server:
                answer = server.json("/v1/completions", {"prompt": [1, 2, 3], "max_tokens": 5, "return_token_ids": True})
                self.assertEqual(len(answer["choices"][0]["token_ids"]), 5)


class Flags(unittest.TestCase):
    def test_names_limits_and_headers(self):
        with Server("--served-model-name", "a", "b", "--max-model-len", "64", "--generation-config", "vllm",
                    "--enable-request-id-headers", "--root-path", "/llm", "--tensor-parallel-size", 1) as server:
            models = json.loads(server.get("/v1/models")[1])["data"]
            self.assertEqual([(m["id"], m["max_model_len"]) for m in models], [("a", 64), ("b", 64)])
            for name in ("a", "b"):
                answer = server.json("/v1/completions", {"model": name, "prompt": [5], "max_tokens": 1})
                self.assertEqual(answer["model"], "a")  # as vLLM: the first, whichever was asked for
            self.assertEqual(server.post("/v1/completions", {"model": "c", "prompt": [5]})[0], 404)
            self.assertEqual(server.get("/llm/v1/models")[0], 200)
            self.assertEqual(server.post("/v1/completions", {"prompt": [5] * 64, "max_tokens": 1})[0], 400)
            self.assertIn("tensor-parallel-size", server.output())

    def test_config_file_and_environment(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("served-model-name: [yaml]\nmax_model_len: 128\n")
            file.flush()
            with Server("--config", file.name, "--max-model-len", "96", environment={"VLLM_API_KEY": "k"}) as server:
                self.assertEqual(server.get("/v1/models")[0], 401)
                models = json.loads(server.get("/v1/models", {"Authorization": "Bearer k"})[1])["data"]
                self.assertEqual((models[0]["id"], models[0]["max_model_len"]), ("yaml", 96))

    def test_mistakes_are_named(self):
        for arguments, words in ((["--prot", "1"], "--port"), (["--port", "70000"], "--port"), (["/nowhere"], "/nowhere"),
                                 (["--tokenizer", "/nowhere"], "--tokenizer"),
                                 (["--generation-config", "/nowhere"], "--generation-config"),
                                 (["--dtype", "int3"], "--dtype"), (["--max-model-len", "1e9"], "max"),
                                 (["--ssl-certfile", "x"], "ssl-keyfile"), (["--kv-cache-memory-bytes", "1000"], "KV"),
                                 (["--max-model-len", "100k"], "max")):
            self.assertIn(words, run("serve", "--port", "0", *arguments, code=1)[1], arguments)


class Commands(unittest.TestCase):
    def test_help_and_version(self):
        self.assertRegex(run("--version")[0], r"^pagoda \d+\.\d+")
        self.assertIn("--max-num-seqs", run("serve", "--help")[0])
        self.assertNotIn("--max-num-seqs", run("serve", "--help=Frontend")[0])
        for command in ("chat", "render", "tokenize"):
            self.assertIn("usage", run(command, "--help")[0])
        self.assertIn("no command", run("sevre", code=2)[1])

    def test_tokenize_there_and_back(self):
        for text in ("Hello, world!\n", "", "naïve 日本語 🙂", "a<|im_end|>b"):
            ids = run("tokenize", stdin=text)[0]
            self.assertEqual(run("tokenize", "--decode", stdin=ids)[0], text)
        folder = SOURCE / "demo" / "model"
        self.assertEqual(run("tokenize", "--tokenizer", folder, stdin="Pagoda"),
                         run("tokenize", "--tokenizer", folder / "tokenizer.json", stdin="Pagoda"))
        self.assertIn("999999", run("tokenize", "--decode", stdin="[999999]", code=1)[1])
        with open("/dev/full", "w") as full:
            self.assertEqual(subprocess.run([BINARY, "tokenize"], input="a", stdout=full, stderr=subprocess.PIPE, text=True).returncode, 1)

    def test_render(self):
        chat = json.dumps({"messages": [{"role": "user", "content": "hi"}]})
        self.assertIn("hi", run("render", stdin=chat)[0])
        with tempfile.NamedTemporaryFile("w", suffix=".jinja") as file:
            file.write("{{ messages[0].content }}{{ strftime_now('%Y') }}{% if x %}{{ raise_exception('no x') }}{% endif %}")
            file.flush()
            self.assertEqual(run("render", "--chat-template", file.name, "--now", "2024-07-26", stdin=chat)[0], "hi2024")
            bad = json.dumps({"messages": [{"role": "user", "content": "hi"}], "x": 1})
            out, error = run("render", "--chat-template", file.name, stdin=bad, code=1)
            self.assertEqual(out, "")
            self.assertIn("no x", error)

    def test_chat(self):
        self.assertIn("engine", run("chat", "--model", SOURCE / "demo" / "model", "-q", "What is Pagoda?")[0].lower())
        with Server() as server:
            out, _ = run("chat", "--url", f"{server.url}/v1/", stdin="What is Pagoda?\n/reset\nWhat is Pagoda?\n/exit\n")
            self.assertGreaterEqual(out.lower().count("engine"), 2)
        self.assertIn("error", run("chat", "--url", "http://127.0.0.1:9/v1", "-q", "hi", code=1)[1])


if __name__ == "__main__":
    unittest.main()
