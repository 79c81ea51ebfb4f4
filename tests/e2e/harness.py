"""A running server for the end-to-end tests, and small clients that send exactly what they are told to."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time

BINARY = os.environ["PAGODA_BINARY"]
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = pathlib.Path(os.environ.get("PAGODA_TEST_DATA", SOURCE.parent / "shared" / "data"))
STORIES = DATA / "models" / "stories260K"

# Sanitizers take memory of their own and keep what is freed: what a test says of memory is not said of them.
SANITIZED = bool(re.search(r"lib[at]san", subprocess.run(["ldd", BINARY], capture_output=True, text=True).stdout))


def clean_environment():
    return {k: v for k, v in os.environ.items() if not k.startswith(("VLLM_", "OPENAI_", "HF_"))}


class Server:
    """`pagoda serve ARGUMENTS --port 0` until the end of the with block; `stop()` checks that it ends with exit code 0."""

    def __init__(self, *arguments, environment=None, address_space=None):
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen([BINARY, "serve", *map(str, arguments), "--port", "0"], stdout=self.log,
                                        stderr=subprocess.STDOUT, env={**clean_environment(), **(environment or {})},
                                        preexec_fn=limit if address_space else None)
        self.port = self._await_port()

    def output(self):
        self.log.flush()
        with open(f"/proc/{os.getpid()}/fd/{self.log.fileno()}") as log:
            return log.read()

    def _await_port(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            output = self.output()
            if "Application startup complete" in output:
                return int(re.search(r"Serving .* on https?://[^:]+:(\d+)", output)[1])
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{output}")
            time.sleep(0.05)
        raise RuntimeError(f"the server did not start:\n{self.output()}")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self, signal_number=signal.SIGINT, timeout=60):
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        code = self.process.wait(timeout)
        if code != 0:
            raise AssertionError(f"the server ended with {code}:\n{self.output()[-4000:]}")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.stop()
        finally:
            self.process.kill()
            self.process.wait()
            self.log.close()

    # -- what the outside sees of it ------------------------------------------------------------------------------------
    def num_descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def num_threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def metric(self, name):
        """The sum over all series of that name."""
        text = self.get("/metrics")[1].decode()
        values = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                  if line.startswith(name) and line[len(name)] in " {"]
        assert values, f"no metric {name}"
        return sum(values)

    # -- requests ---------------------------------------------------------------------------------------------------------
    def get(self, path, headers=None):
        return self.request("GET", path, None, headers)

    def post(self, path, body, headers=None):
        """`body`: bytes as they are, or anything that json can write. Returns (status, bytes, headers)."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, data, {"Content-Type": "application/json", **(headers or {})})

    def request(self, method, path, body, headers=None, timeout=120):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read(), dict(response.getheaders())

    def json(self, path, body):
        status, answer, _ = self.post(path, body)
        assert status == 200, (status, answer[:500])
        return json.loads(answer)

    def raw(self, data, timeout=20, half_close=False):
        """Sends bytes on a fresh connection, returns everything until the server closes or falls silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(socket.timeout, ConnectionError):
                while piece := connection.recv(65536):
                    answer += piece
            return answer


def wait_until(condition, timeout=20, message="the condition did not come true"):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(message)
        time.sleep(0.05)


def in_threads(count, work):
    """work(index) in `count` threads at once; returns the results in order, raises the first error."""
    results, errors = [None] * count, []

    def run(index):
        try:
            results[index] = work(index)
        except BaseException as error:  # noqa: B902: handed on below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
