"""`pagoda bench`: a load on the server with its result file, other servers' ways of streaming, and the engine alone."""
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading
import unittest

from harness import BINARY, SOURCE, Server, clean_environment


def bench(*arguments, code=0):
    done = subprocess.run([BINARY, "bench", *map(str, arguments)], capture_output=True, text=True, timeout=300,
                          env=clean_environment())
    assert done.returncode == code, (done.returncode, done.stdout[-3000:], done.stderr[-3000:])
    return done


def serve_result(*arguments, code=0):
    """The printed report and the result file of `pagoda bench serve`."""
    with tempfile.TemporaryDirectory() as folder:
        done = bench("serve", *arguments, "--save-result", "--save-detailed", "--result-dir", folder, code=code)
        files = list(pathlib.Path(folder).iterdir())
        assert len(files) == 1, files
        return done.stdout, json.loads(files[0].read_text()), files[0].name


class BenchServe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def test_sixteen_at_a_time(self):
        before = self.server.metric("vllm:generation_tokens_total")
        report, result, name = serve_result(
            "--port", self.server.port, "--num-prompts", 48, "--max-concurrency", 16, "--random-input-len", 50,
            "--random-output-len", 12, "--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "50,99",
            "--goodput", "e2el:60000", "--num-warmups", 2, "--ready-check-timeout-sec", 10, "--metadata", "run=a")
        self.assertIn(" Serving Benchmark Result ", report)
        self.assertIn("P99 E2EL (ms):", report)
        self.assertIn("by the server's usage", report)
        self.assertRegex(name, r"^openai-infqps-concurrency16-pagoda-demo-\d{8}-\d{6}\.json$")
        expected = {"completed": 48, "failed": 0, "total_input_tokens": 48 * 50, "total_output_tokens": 48 * 12,
                    "max_concurrency": 16, "request_rate": "inf", "num_prompts": 48, "run": "a", "backend": "openai",
                    "model_id": "pagoda-demo", "input_lens": [50] * 48, "output_lens": [12] * 48, "errors": [""] * 48}
        self.assertEqual({key: result[key] for key in expected}, expected)
        self.assertLessEqual(result["max_concurrent_requests"], 16)
        self.assertGreater(result["max_concurrent_requests"], 8)
        self.assertAlmostEqual(result["output_throughput"], 48 * 12 / result["duration"], 3)
        self.assertAlmostEqual(result["request_goodput"], result["request_throughput"], 6)
        for ttft, itls, latency in zip(result["ttfts"], result["itls"], result["latencies"]):
            self.assertLess(0, ttft)
            self.assertLessEqual(ttft + sum(itls), latency + 1e-6)
            self.assertLess(len(itls), 12)
        self.assertLessEqual(result["median_ttft_ms"], result["p99_ttft_ms"])
        self.assertEqual(result["median_ttft_ms"], result["p50_ttft_ms"])
        # The ready check and the warm-ups are the server's work too, but not the measurement's.
        self.assertEqual(self.server.metric("vllm:generation_tokens_total") - before, (48 + 2 + 1) * 12)

    def test_chat_at_a_rate(self):
        report, result, _ = serve_result(
            "--base-url", self.server.url, "--backend", "openai-chat", "--num-prompts", 12, "--request-rate", 40,
            "--burstiness", 0.5, "--random-input-len", 20, "--random-output-len", 5, "--temperature", 0)
        self.assertEqual((result["completed"], result["total_output_tokens"]), (12, 60))
        self.assertGreaterEqual(result["duration"], 12 / 40 * 0.99)
        self.assertIn("Request rate configured (RPS):           40.00", report)

    def test_ids_words_and_a_custom_file(self):
        common = ["--port", self.server.port, "--num-prompts", 4, "--output-len", 4]
        _, result, _ = serve_result(*common, "--input-len", 33, "--random-as-ids")
        self.assertEqual(result["input_lens"], [33] * 4)
        _, result, _ = serve_result(*common, "--input-len", 10, "--skip-tokenizer-init")
        self.assertEqual(result["completed"], 4)
        self.assertIsNone(result["tokenizer_id"])
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write('{"prompt": "What is Pagoda?"}\n{"prompt": "Hello"}\n')
            file.flush()
            _, result, _ = serve_result(*common, "--dataset-name", "custom", "--dataset-path", file.name, "--ignore-eos")
            self.assertEqual(result["total_output_tokens"], 16)

    def test_a_trace_is_replayed_at_its_times(self):
        rows = [{"timestamp": 100 * i, "input_length": 40, "output_length": 3, "hash_ids": [7, i]} for i in range(6)]
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write("\n".join(map(json.dumps, rows)))
            file.flush()
            _, result, _ = serve_result("--port", self.server.port, "--dataset-name", "timed_trace", "--dataset-path",
                                        file.name, "--timed-trace-time-scale", 0.5, "--timed-trace-length-scale", 0.5)
        self.assertEqual(result["input_lens"], [20] * 6)
        self.assertEqual(result["output_lens"], [2] * 6)
        for index, start in enumerate(result["start_times"]):
            self.assertGreaterEqual(start, 0.05 * index)

    def test_refusals_are_reported(self):
        done = bench("serve", "--port", self.server.port, "--num-prompts", 3, "--input-len", 5000, code=1)
        self.assertIn("3 failed: HTTP status 400: This model's maximum context length", done.stderr)
        self.assertIn("Failed requests:                         3", done.stdout)


class OtherServers(unittest.TestCase):
    """A server that gives no usage, and several tokens in a chunk."""

    def test_without_usage_chunks_are_counted(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert body["stream"] and body["model"] == "other"
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()  # HTTP/1.0: the end is the connection's
                for text in ("one two", " three", ""):
                    finish = None if text else "stop"
                    chunk = {"choices": [{"index": 0, "text": text, "finish_reason": finish}]}
                    self.wfile.write(b": ping\r\n\r\ndata:" + json.dumps(chunk).encode() + b"\r\n\r\n")
                self.wfile.write(b"data: [DONE]\r\n\r\n")

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            report, result, _ = serve_result("--port", server.server_port, "--model", "other", "--num-prompts", 5,
                                             "--input-len", 8)
        finally:
            server.shutdown()
            server.server_close()
        self.assertEqual((result["completed"], result["total_output_tokens"]), (5, 10))
        self.assertEqual(result["generated_texts"], ["one two three"] * 5)
        self.assertIn("chunks (the server gave no usage)", report)


class Offline(unittest.TestCase):
    def test_throughput(self):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            done = bench("throughput", "--num-prompts", 6, "--input-len", 20, "--output-len", 8, "--n", 2,
                         "--output-json", file.name)
            result = json.load(file)
        self.assertRegex(done.stdout, r"Throughput: [\d.]+ requests/s, [\d.]+ total tokens/s, [\d.]+ output tokens/s")
        self.assertIn("Total num output tokens:  96", done.stdout)
        self.assertEqual((result["num_requests"], result["total_num_tokens"]), (6, 6 * 20 + 6 * 2 * 8))
        self.assertAlmostEqual(result["requests_per_second"] * result["elapsed_time"], 6, 6)

    def test_latency(self):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            done = bench("latency", "--batch-size", 2, "--input-len", 8, "--output-len", 4, "--num-iters-warmup", 1,
                         "--num-iters", 3, "--output-json", file.name)
            result = json.load(file)
        self.assertIn("Avg latency: ", done.stdout)
        self.assertIn("99% percentile latency: ", done.stdout)
        self.assertEqual(len(result["latencies"]), 3)
        self.assertAlmostEqual(result["avg_latency"], sum(result["latencies"]) / 3, 9)

    def test_dummy_weights_of_a_given_shape(self):
        config = SOURCE / "demo" / "model" / "config.json"
        done = bench("throughput", "--load-format", "dummy", "--hf-config", config, "--num-prompts", 3, "--input-len",
                     16, "--output-len", 4, "--max-num-seqs", 2)
        self.assertIn("Total num output tokens:  12", done.stdout)

    def test_what_does_not_fit_is_said(self):
        done = bench("latency", "--input-len", 5000, code=1)
        self.assertIn("do not fit into the 1024 positions", done.stderr)
        self.assertIn("there is no 'pagoda bench speed'", bench("speed", code=2).stderr)


if __name__ == "__main__":
    unittest.main()
