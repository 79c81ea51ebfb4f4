"""The process among others: pipes that nobody reads, signals, files that are none, time in which it did not run, memory
that is not there."""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from harness import SANITIZED, BINARY, SOURCE, Server, clean_environment, in_threads, wait_until

LONG = {"prompt": [5], "max_tokens": 600, "ignore_eos": True}


def small_pipe():
    """A pipe of one page, full but for nothing."""
    import fcntl
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ
    return reader, writer


class StartedAnyhow(Server):
    """By a shell, with these redirections, or with these streams."""

    def __init__(self, redirections="", **streams):
        self.log = tempfile.TemporaryFile()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = f'exec "$0" serve --port {self.port} {redirections}'
        self.process = subprocess.Popen(["sh", "-c", command, BINARY], env=clean_environment(), **streams)
        wait_until(self.is_healthy, 60)

    def is_healthy(self):
        try:
            return self.get("/health")[0] == 200
        except OSError:
            return False


class UnreadServer(StartedAnyhow):
    """Its standard output and error are pipes that nobody reads."""

    def __init__(self):
        self.out, out = small_pipe()
        self.err, err = small_pipe()
        os.write(out, b"." * 4096)
        super().__init__(stdout=out, stderr=err)
        os.close(out)
        os.close(err)

    def flood(self, lines):
        """So many lines of the access log."""
        request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as client:
            for _ in range(lines // 100):
                client.sendall(request * 100)
                answers = b""
                while answers.count(b"HTTP/1.1 200") < 100:
                    answers += client.recv(65536)


def blocked(pid, number):
    mask = re.search(r"SigBlk:\s*(\w+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]
    return int(mask, 16) >> (number - 1) & 1


class Pipes(unittest.TestCase):
    def test_a_log_that_nobody_reads_stops_nothing(self):
        with UnreadServer() as server:
            server.flood(20000)  # about 1.5 MB of log
            self.assertEqual(server.post("/v1/completions", {"prompt": [5], "max_tokens": 3})[0], 200)
            self.assertGreater(server.metric("pagoda:log_lines_dropped_total"), 0)
            text = b""
            while b"lines of the log were dropped" not in text:  # it flows again
                text += os.read(server.err, 65536)
            self.assertIn(b"INFO", text)

    def test_it_ends_though_nobody_reads(self):
        with UnreadServer() as server:
            server.flood(1000)
            started = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.process.wait(20), 0)
            self.assertLess(time.monotonic() - started, 10)

    def test_a_closed_log(self):
        with UnreadServer() as server:
            os.close(server.err)
            server.flood(1000)
            self.assertEqual(server.get("/health")[0], 200)

    def test_nothing_raw_reaches_the_log(self):
        hostile = "a\u202eb\x1b[31m\u0085\u2028c\x7f\u2066\ufeff"
        with Server("--enable-log-requests", "--enable-log-outputs", "--api-key", "k") as server:
            headers = {"Authorization": "Bearer k"}
            server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": hostile}], "max_tokens": 2}, headers)
            server.post("/v1/completions", {"prompt": hostile, "max_tokens": 2, "request_id": hostile}, headers)
            server.raw(b"GET /\xe2\x80\xae\xc2\x9b\x1b[2J HTTP/1.1\r\nHost: x\r\nX-Request-Id: \xe2\x80\xaex\r\n\r\n", timeout=2)
            server.raw(b"GET /%E2%80%AE%1B HTTP/1.1\r\nHost: x\r\n\r\n", timeout=1)
            output = server.output()
            self.assertIn("\\u202e", output)
            for character in "\u202e\x1b\x85\u2028\x7f\u2066\u009b":
                self.assertNotIn(character, output, repr(character))


    def test_lines_that_a_full_disk_loses_are_counted(self):
        with StartedAnyhow("2>/dev/full") as server:
            self.assertGreater(server.metric("pagoda:log_lines_dropped_total"), 5)

    def test_streams_that_are_closed_are_nobody_elses(self):
        with StartedAnyhow("<&- >&- 2>&-") as server:
            for number in range(3):
                self.assertEqual(os.readlink(f"/proc/{server.process.pid}/fd/{number}"), "/dev/null")


class Signals(unittest.TestCase):
    def test_hangup_drains_as_termination_does(self):
        with Server() as server:
            answers = []
            client = threading.Thread(target=lambda: answers.append(server.post("/v1/completions", LONG)))
            client.start()
            wait_until(lambda: server.metric("vllm:num_requests_running") == 1)
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
            server.process.send_signal(signal.SIGHUP)  # supervisors send several
            client.join()
            self.assertEqual(answers[0][0], 200)
            self.assertEqual(json.loads(answers[0][1])["usage"]["completion_tokens"], 600)
            self.assertEqual(server.process.wait(20), 0)

    def test_what_has_no_meaning_is_ignored_with_a_line(self):
        with Server() as server:
            names = ("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGPOLL", "SIGPWR", "SIGSTKFLT")
            signals = {name: getattr(signal, name) for name in names}
            signals |= {f"SIGRTMIN+{i}": signal.SIGRTMIN + i for i in range(signal.SIGRTMAX - signal.SIGRTMIN + 1)}
            for name, number in signals.items():
                server.process.send_signal(number)
                wait_until(lambda: f"{name} is ignored" in server.output(), message=name)  # noqa: B023: called at once
            server.process.send_signal(signal.SIGPIPE)
            self.assertEqual(server.get("/health")[0], 200)

    def test_while_it_starts(self):
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen([BINARY, "serve", "--port", "0"], stdout=log, stderr=log, env=clean_environment())
            try:
                def output():
                    return os.pread(log.fileno(), 1 << 20, 0).decode()
                wait_until(lambda: os.readlink(f"/proc/{process.pid}/exe") == os.path.realpath(BINARY)
                           and blocked(process.pid, signal.SIGALRM))
                for number in (signal.SIGALRM, signal.SIGUSR1, signal.SIGRTMIN):
                    process.send_signal(number)
                wait_until(lambda: "Application startup complete" in output() and "SIGALRM is ignored" in output(), 60)
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(60), 0)
            finally:
                process.kill()
                process.wait()

    def test_nohup(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # children inherit it
        try:
            with Server() as server:
                server.process.send_signal(signal.SIGHUP)
                time.sleep(0.5)
                self.assertEqual(server.get("/health")[0], 200)
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_time_in_which_it_was_stopped_is_no_hang(self):
        with Server("--watchdog-timeout", 1, "--max-num-batched-tokens", 8) as server:
            answers = []
            clients = [threading.Thread(target=lambda: answers.append(server.post("/v1/completions", LONG)[0]))
                       for _ in range(8)]
            for client in clients:
                client.start()
            wait_until(lambda: server.metric("vllm:num_requests_running") > 0)
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(3)
            server.process.send_signal(signal.SIGCONT)
            for client in clients:
                client.join()
            self.assertEqual(answers, [200] * 8)


class Files(unittest.TestCase):
    """A pipe in place of a file is refused at once, by its name."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.fifo = self.folder / "fifo"
        os.mkfifo(self.fifo)

    def ends(self, *arguments, path=None):
        done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=30,
                              env=clean_environment(), stdin=subprocess.DEVNULL)
        self.assertNotEqual(done.returncode, 0, arguments)
        self.assertGreater(done.returncode, 0, done.stderr)
        self.assertIn(str(path or self.fifo), done.stderr, arguments)

    def test_flags(self):
        for flag in ("--config", "--chat-template", "--ssl-certfile", "--tokenizer"):
            extra = ("--ssl-keyfile", self.fifo) if flag == "--ssl-certfile" else ()
            self.ends("serve", "--port", 0, flag, self.fifo, *extra)
        self.ends("serve", "--port", 0, "--load-format", "dummy", "--hf-config", self.fifo)
        self.ends("serve", self.fifo, "--port", 0)
        self.ends("serve", "--port", 0, "--config", "/dev/zero", path="/dev/zero")
        self.ends("serve", "--port", 0, "--chat-template", self.folder, path=self.folder)
        self.ends("tokenize", "--tokenizer", self.fifo)
        self.ends("render", "--chat-template", self.fifo)
        for dataset in ("sharegpt", "custom", "timed_trace", "burstgpt"):
            self.ends("bench", "throughput", "--dataset-name", dataset, "--dataset-path", self.fifo)

    def test_files_of_a_model(self):
        for name in ("config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json",
                     "tokenizer_config.json", "generation_config.json", "chat_template.jinja"):
            model = self.folder / f"with-{name}"
            shutil.copytree(SOURCE / "demo" / "model", model)
            (model / name).unlink(missing_ok=True)
            os.mkfifo(model / name)
            self.ends("serve", model, "--port", 0, path=model / name)


def virtual_bytes(server):
    return int(pathlib.Path(f"/proc/{server.process.pid}/statm").read_text().split()[0]) * resource.getpagesize()


@unittest.skipIf(SANITIZED, "a sanitizer needs more address space than there is")
class Memory(unittest.TestCase):
    """Near a limit of address space: each request is answered whole or told that there is too little memory, a plain one
    is answered as ever as soon as the large ones have gone, under the same limit, and the server ends in order."""
    FLAGS = ("--max-logprobs", -1, "--max-num-seqs", 64, "--max-model-len", 1024, "--kv-cache-memory-bytes", "32M")
    PLAIN = {"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0, "logprobs": 1}
    PROMPTS = [f"Story {i}: " + "the fox and the other fox " * 6 for i in range(32)]
    CHAT = {"messages": [{"role": "user", "content": PROMPTS[0]}], "n": 48, "logprobs": True, "top_logprobs": 2000,
            "max_tokens": 6}
    STORMS = {
        "choices": [("/v1/completions", {"prompt": [5], "n": 64, "logprobs": 60, "max_tokens": 200, "ignore_eos": True})] * 4,
        "echo": [("/v1/completions", {"prompt": [p], "echo": True, "logprobs": 2000, "max_tokens": 3}) for p in PROMPTS],
        "prompt": [("/v1/completions", {"prompt": p, "prompt_logprobs": 2000, "max_tokens": 3}) for p in PROMPTS],
        "chat": [("/v1/chat/completions", CHAT)] * 3,
        "stream": [("/v1/chat/completions", {**CHAT, "stream": True})] * 3,
    }

    def storm(self, server, requests, expected):
        """How many were told that there is too little memory. Plain ones in the midst of it get what they get alone."""
        both = requests + [("/v1/completions", self.PLAIN)] * 3
        answers = in_threads(len(both), lambda i: server.post(*both[i]))
        for status, body, _ in answers[len(requests):]:
            if status == 200:
                self.assertEqual(json.loads(body)["choices"], expected)
        for status, body, _ in answers:
            if status != 200:
                self.assertEqual(status, 503, body[:300])
                self.assertEqual(json.loads(body)["error"]["type"], "ServiceUnavailableError")
            elif body.startswith(b"data:"):
                self.assertTrue(body.endswith(b"data: [DONE]\n\n"), body[-200:])
            else:
                json.loads(body)
        return sum(b"too little memory" in body for _, body, _ in answers)

    def plain_is_answered(self, server, expected):
        deadline = time.monotonic() + 2
        while (answer := server.post("/v1/completions", self.PLAIN))[0] != 200:
            self.assertLess(time.monotonic(), deadline, answer)
            time.sleep(0.05)
        self.assertEqual(json.loads(answer[1])["choices"], expected)
        self.assertEqual(server.get("/health")[0], 200)

    def test_what_there_is_no_memory_for_fails_alone(self):
        with Server(*self.FLAGS) as server:
            taken = virtual_bytes(server)
            expected = server.json("/v1/completions", self.PLAIN)["choices"]
        limit = self.least_to_start(taken)
        refused = dict.fromkeys(self.STORMS, 0)
        for room in (0, 8, 24):
            with self.subTest(room=room), Server(*self.FLAGS, address_space=limit + (room << 20)) as server:
                for name, requests in self.STORMS.items():
                    refused[name] += self.storm(server, requests, expected)
                    self.plain_is_answered(server, expected)
                self.assertEqual(server.metric("vllm:num_requests_running"), 0)
        for name, number in refused.items():
            if name != "stream":  # it goes out as it comes
                self.assertGreater(number, 0, f"{name}: there was memory for all")

    def least_to_start(self, enough):
        """In bytes, to 4 MiB."""
        low, high = enough >> 21, enough >> 20
        while high - low > 4:
            middle = (low + high) // 2
            try:
                with Server(*self.FLAGS, address_space=middle << 20):
                    high = middle
            except RuntimeError:
                low = middle
        return high << 20

    def test_a_limit_that_comes_later(self):
        with Server(*self.FLAGS) as server:
            expected = server.json("/v1/completions", self.PLAIN)["choices"]
            limit = virtual_bytes(server) + (24 << 20)
            resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            refused = sum(self.storm(server, requests, expected) for requests in self.STORMS.values())
            self.assertGreater(refused, 0)
            self.plain_is_answered(server, expected)

    def test_too_little_to_start_names_what_helps(self):
        with self.assertRaisesRegex(RuntimeError, "--gpu-memory-utilization"):
            Server(address_space=160 << 20)
        with self.assertRaisesRegex(RuntimeError, "--kv-cache-memory-bytes"):
            Server("--kv-cache-memory-bytes", "1G", address_space=400 << 20)


if __name__ == "__main__":
    unittest.main()
