"""Variables, addresses and paths as people give them, and what the server tells of itself."""
import json
import subprocess
import unittest

from harness import BINARY, Server, clean_environment


def run(*arguments, environment=None, code=0):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env={**clean_environment(), **(environment or {})})
    assert done.returncode == code, (done.returncode, done.stderr)
    return done.stdout, done.stderr


class Variables(unittest.TestCase):
    def test_what_has_a_meaning_is_read_and_the_rest_is_told(self):
        environment = {"VLLM_SKIP_MODEL_NAME_VALIDATION": "1", "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
                       "VLLM_MAX_N_SEQUENCES": "2", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_USE_DEEP_GEMM": "1",
                       "VLLM_NO_SUCH_VARIABLE": "1"}
        with Server("--max-model-len", 100000, environment=environment) as server:
            self.assertEqual(json.loads(server.get("/v1/models")[1])["data"][0]["max_model_len"], 100000)
            body = {"model": "any name", "prompt": "What is", "max_tokens": 2}
            self.assertEqual(server.post("/v1/completions", body)[0], 200)
            self.assertEqual(server.post("/v1/completions", {**body, "n": 3, "temperature": 1})[0], 400)
            log = server.output()
            self.assertIn("VLLM_USE_DEEP_GEMM is set and changes nothing here", log)
            self.assertIn("neither vLLM nor Pagoda has such a variable", log)
            self.assertRegex(log, r"Available KV cache memory: 1\.00 GiB")
            self.assertRegex(log, r"CPU KV cache size: [\d,]+ tokens, Maximum concurrency for 100,000 tokens per request: [\d.]+x")

    def test_without_them(self):
        _, error = run("serve", "--port", 0, "--max-model-len", 100000, code=1)
        self.assertIn("VLLM_ALLOW_LONG_MAX_MODEL_LEN", error)
        _, error = run("serve", "--port", 0, "--fail-on-environ-validation", code=1,
                       environment={"VLLM_NO_SUCH_VARIABLE": "1"})
        self.assertIn("VLLM_NO_SUCH_VARIABLE", error)
        _, error = run("serve", "--port", 0, environment={"VLLM_CPU_KVCACHE_SPACE": "four"}, code=1)
        self.assertIn("VLLM_CPU_KVCACHE_SPACE must be a whole number", error)


class Mistakes(unittest.TestCase):
    def test_a_path_is_not_downloaded(self):
        _, error = run("serve", "/no such folder", "--port", 0, code=1)
        self.assertIn("there is no folder '/no such folder'", error)
        self.assertNotIn("ownload", error)

    def test_a_model_behind_a_list_is_told_of(self):
        with Server("--api-key", "secret", "/tmp") as server:
            self.assertIn("--api-key takes all values that follow it, '/tmp' as well", server.output())
            self.assertNotIn("secret", server.output())


class Addresses(unittest.TestCase):
    def test_chat_finds_the_api_under_any_spelling(self):
        with Server() as server:
            for url in (server.url, f"{server.url}/", f"{server.url}/v1", f"127.0.0.1:{server.port}"):
                self.assertIn("engine", run("chat", "--url", url, "-q", "What is Pagoda?")[0].lower(), url)
            self.assertIn("404", run("chat", "--url", f"{server.url}/no/such", "-q", "hi", code=1)[1])
            for base in (server.url, f"{server.url}/v1/"):
                out, _ = run("bench", "serve", "--base-url", base, "--num-prompts", 1, "--input-len", 4, "--output-len", 2)
                self.assertRegex(out, r"Successful requests: +1")


class Descriptions(unittest.TestCase):
    def test_the_server_tells_of_itself(self):
        with Server("--enable-tokenizer-info-endpoint", "--max-num-seqs", 5, "--api-key", "secret",
                    environment={"VLLM_SERVER_DEV_MODE": "1"}) as server:
            key = {"Authorization": "Bearer secret"}
            paths = json.loads(server.get("/openapi.json")[1])["paths"]
            self.assertIn("post", paths["/v1/chat/completions"])
            self.assertIn(b"POST /v1/chat/completions", server.get("/docs")[1])
            info = json.loads(server.get("/server_info?config_format=json", key)[1])
            self.assertEqual(info["vllm_config"]["max_num_seqs"], 5)
            self.assertEqual(info["vllm_env"], {"VLLM_SERVER_DEV_MODE": "1"})
            self.assertNotIn("secret", json.dumps(info))
            self.assertIn("chat_template", json.loads(server.get("/tokenizer_info", key)[1]))
            self.assertEqual(json.loads(server.get("/kv_event_sources", key)[1]), {})


if __name__ == "__main__":
    unittest.main()
