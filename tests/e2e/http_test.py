"""What clients can do to the server's memory, its only I/O thread and its places: little."""
import contextlib
import json
import pathlib
import socket
import threading
import time
import unittest

from harness import SANITIZED, Server, wait_until

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
MIB = 1 << 20
KEY = {"Authorization": "Bearer k"}


def rss(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def head(path, length, headers=None):
    fields = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return f"POST {path} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {length}\r\n\r\n".encode()


class Unfinished:
    """Requests of 60 MB without their last byte; what the server does not take is not sent."""

    def __init__(self, server, count, headers=None):
        self.sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(count)]
        self.threads = [threading.Thread(target=self.send, args=(one, headers)) for one in self.sockets]
        self.answers = []
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()

    def send(self, connection, headers):
        connection.settimeout(3)
        with contextlib.suppress(OSError):
            connection.sendall(head(TEXT, 60 * MIB, headers))
            for _ in range(60):
                connection.sendall(b"x" * (MIB - 1))
        with contextlib.suppress(OSError):
            connection.settimeout(1)
            self.answers.append(int(connection.recv(100).split()[1]))

    def close(self):
        for connection in self.sockets:
            connection.close()


class Http(unittest.TestCase):
    def test_a_last_chunk_in_pieces(self):
        with Server() as server:
            for path in (TEXT, "/x", "/health"):
                start = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
                for pieces in ((b"0\r\n", b"\r"), (b"0", b"\r", b"\n", b"\r"), (b"2\r\n{}\r", b"\n0\r\n\r")):
                    with socket.create_connection(("127.0.0.1", server.port)) as connection:
                        connection.sendall(start)
                        for piece in pieces:
                            time.sleep(0.02)
                            with contextlib.suppress(OSError):
                                connection.sendall(piece)
            self.assertEqual(server.get("/health")[0], 200)

    @unittest.skipIf(SANITIZED, "memory of a sanitizer")
    def test_bodies_take_no_memory_without_a_key_and_bounded_memory_with_one(self):
        with Server("--api-key", "k", "--max-body-memory", 64) as server:
            self.assertEqual(server.post(TEXT, {"prompt": "a", "max_tokens": 1}, KEY)[0], 200)
            before = rss(server)
            strangers = Unfinished(server, 12)
            self.assertLess(rss(server) - before, 16 * MIB)
            self.assertEqual(set(strangers.answers) - {401}, set())
            strangers.close()
            friends = Unfinished(server, 12, KEY)
            self.assertLess(rss(server) - before, 100 * MIB)
            self.assertIn(503, friends.answers)
            self.assertEqual(server.post(TEXT, {"prompt": "a", "max_tokens": 1}, KEY)[0], 200)
            friends.close()
            wait_until(lambda: rss(server) - before < 32 * MIB, message="the memory of a burst is not given back")

    @unittest.skipIf(SANITIZED, "memory of a sanitizer")
    def test_values_take_bounded_memory(self):
        zeros = b"[" + b"0," * 1_000_000 + b"0]"
        call = b'{"function":{"name":"f","arguments":"{\\"a\\":' + zeros + b'}"}}'
        user = b'{"max_tokens":1,"messages":[{"role":"user","content":"x"}]'
        bodies = ((user + b',"chat_template_kwargs":{"a":' + zeros + b"}}", 200),
                  # the template shows them: a prompt that is too long
                  (b'{"max_tokens":1,"messages":[{"role":"assistant","tool_calls":[' + call + b"]}]}", 400))
        with Server("--max-body-memory", 128) as server:
            self.assertEqual(server.post(TEXT, {"prompt": "a", "max_tokens": 1})[0], 200)
            before = rss(server)
            for body, good in bodies:
                answers, most = [], 0
                works = [threading.Thread(target=lambda body=body: answers.append(server.post(CHAT, body)[0]))
                         for _ in range(24)]
                for work in works:
                    work.start()
                while any(work.is_alive() for work in works):
                    most = max(most, rss(server) - before)
                    time.sleep(0.01)
                self.assertEqual(set(answers) - {good, 503}, set())
                self.assertIn(good, answers)
                self.assertLess(most, 320 * MIB)  # 24 of them would take over a gigabyte
                wait_until(lambda: rss(server) - before < 64 * MIB, message="the memory of a burst is not given back")

    def test_large_bodies_stop_nobody(self):
        bodies = (b'{"prompt": "' + b"x " * (28 * MIB) + b'"}', b'{"prompt": [' + b"1," * (28 * MIB) + b"1]}",
                  b'{"prompt": "a"' + b',"a":{}' * (8 * MIB) + b"}")
        with Server() as server:
            self.assertEqual(server.post(TEXT, {"prompt": "a", "max_tokens": 1})[0], 200)
            before = rss(server)
            answers = []
            for body in bodies:
                work = threading.Thread(target=lambda: answers.append(server.post(TEXT, body)[0]))
                work.start()
                slowest = 0
                while work.is_alive():
                    start = time.monotonic()
                    self.assertEqual(server.get("/health")[0], 200)
                    slowest = max(slowest, time.monotonic() - start)
                self.assertLess(slowest, 1)  # milliseconds, but for who else uses the machine
            self.assertEqual(answers, [400, 400, 400])
            if not SANITIZED:
                wait_until(lambda: rss(server) - before < 64 * MIB, message="the memory of a burst is not given back")

    def test_idle_connections_keep_nobody_out(self):
        with Server("--max-connections", 32) as server:
            idle = []
            for index in range(300):
                idle.append(socket.create_connection(("127.0.0.1", server.port)))
                if index % 3 == 0:
                    idle[-1].sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                if index % 3 == 1:
                    idle[-1].sendall(b"GET /hea")
            for _ in range(5):
                self.assertEqual(server.get("/health")[0], 200)
                self.assertEqual(server.get("/metrics")[0], 200)
                self.assertEqual(server.post(TEXT, {"prompt": "a", "max_tokens": 1})[0], 200)
            self.assertLess(server.num_descriptors(), 32 + 64 + 100)
            for connection in idle:
                connection.close()

    def test_requests_without_an_end_and_answers_without_a_reader_keep_nobody_out(self):
        with Server("--max-connections", 32, "--api-key", "k", "j") as server:
            other = {"Authorization": "Bearer j"}
            unread = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 1000
            for sent in (head("/ping", 10), head(TEXT, 10, other), head(TEXT, 10, other) + b"{", unread):
                clients = []
                for _ in range(100):
                    clients.append(socket.create_connection(("127.0.0.1", server.port)))
                    clients[-1].sendall(sent)
                start = time.monotonic()
                wait_until(lambda: server.post(TEXT, {"prompt": "a", "max_tokens": 1}, KEY)[0] == 200)
                self.assertLess(time.monotonic() - start, 10)
                for client in clients:
                    client.close()

    def test_the_query_stays_out_of_the_log(self):
        with Server() as server:
            self.assertEqual(server.get("/version/?api_key=secret-in-query")[0], 200)
            wait_until(lambda: '"GET /version/ HTTP/1.1" 200' in server.output(), message="no line")
            self.assertNotIn("secret-in-query", server.output())

    def test_no_page_reads_or_commands_unless_it_is_allowed(self):
        page = {"Origin": "https://evil"}
        with Server(environment={"VLLM_SERVER_DEV_MODE": "1"}) as server:
            self.assertEqual(server.post("/pause", {}, page)[0], 403)
            self.assertEqual(json.loads(server.get("/is_paused")[1]), {"is_paused": False})
            headers = server.post(TEXT, {"prompt": "a", "max_tokens": 1}, page)[2]
            self.assertFalse([name for name in headers if name.lower().startswith("access-control")])


if __name__ == "__main__":
    unittest.main()
