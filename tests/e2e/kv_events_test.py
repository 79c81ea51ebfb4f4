"""KV events as routers see them: real ZeroMQ and msgpack clients, hashes computed again by vLLM's recipe."""
import hashlib
import json
import re
import struct
import unittest

import msgpack
import zmq

from harness import Server

BLOCK = 16


def prompt(first, length):
    return [5 + (first * 131 + i * 7) % 400 for i in range(length)]


def cbor(value):
    """Canonical CBOR of what a block's hash is made from."""
    def head(major, number):
        for limit, extra, form in ((24, None, ""), (1 << 8, 24, ">B"), (1 << 16, 25, ">H"), (1 << 32, 26, ">I"),
                                   (1 << 64, 27, ">Q")):
            if number < limit:
                return bytes([major << 5 | (number if extra is None else extra)]) + (
                    struct.pack(form, number) if form else b"")
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    return head(4, len(value)) + b"".join(map(cbor, value))


def block_hashes(tokens, seed):
    """vLLM's sha256_cbor chain from PYTHONHASHSEED, as it names blocks in events: the low 64 bits."""
    parent, hashes = hashlib.sha256(cbor(seed)).digest(), []
    for begin in range(0, len(tokens) - BLOCK + 1, BLOCK):
        parent = hashlib.sha256(cbor([parent, tokens[begin:begin + BLOCK], None])).digest()
        hashes.append(int.from_bytes(parent, "big") & (1 << 64) - 1)
    return hashes


class Router:
    """A subscriber that keeps what it hears."""

    def __init__(self, server):
        live, replay = re.search(r"KV events are published at (\S+), replayed at (\S+)", server.output()).groups()
        self.context = zmq.Context()
        self.sub = self.context.socket(zmq.SUB)
        self.sub.connect(live)
        self.sub.setsockopt(zmq.SUBSCRIBE, b"kv@")
        self.dealer = self.context.socket(zmq.DEALER)
        self.dealer.connect(replay)

    def close(self):
        self.context.destroy(linger=0)

    def hear(self, patience_ms=10000):
        """The next batch: (number, events), or None."""
        if not self.sub.poll(patience_ms):
            return None
        topic, number, payload = self.sub.recv_multipart()
        assert topic == b"kv@pod@model", topic
        timestamp, events, rank = msgpack.unpackb(payload)
        assert isinstance(timestamp, float) and rank == 0
        return int.from_bytes(number, "big"), events

    def replay(self, first):
        self.dealer.send_multipart([b"", first.to_bytes(8, "big")])
        batches = []
        while True:
            assert self.dealer.poll(10000), "the replay has no end"
            _, number, payload = self.dealer.recv_multipart()
            if number == b"\xff" * 8:
                assert payload == b""
                return batches
            batches.append((int.from_bytes(number, "big"), msgpack.unpackb(payload)[1]))


def serve(*arguments, **config):
    config = {"enable_kv_cache_events": True, "endpoint": "tcp://127.0.0.1:*", "topic": "kv@pod@model",
              "replay_endpoint": "tcp://127.0.0.1:*", **config}
    return Server("--kv-events-config", json.dumps(config), "--prefix-caching-hash-algo", "sha256_cbor", *arguments,
                  environment={"PYTHONHASHSEED": "17", "VLLM_SERVER_DEV_MODE": "1"})


def ask(server, tokens):
    return server.json("/v1/completions", {"prompt": tokens, "max_tokens": 1, "temperature": 0})


class KvEvents(unittest.TestCase):
    def test_a_router_can_follow_the_cache(self):
        with serve("--num-gpu-blocks-override", 12, "--max-model-len", 128) as server:
            router = Router(server)
            self.addCleanup(router.close)
            first = prompt(1, 40)
            ask(server, first)
            ask(server, first[:32] + prompt(2, 20))  # shares two blocks
            stored = [event for _, events in router.replay(0) for event in events]
            self.assertEqual([event["type"] for event in stored], ["BlockStored", "BlockStored"])
            hashes = block_hashes(first, "17")
            self.assertEqual(stored[0], {
                "type": "BlockStored", "block_hashes": hashes, "parent_block_hash": None, "token_ids": first[:32],
                "block_size": BLOCK, "lora_id": None, "medium": "GPU", "lora_name": None, "group_idx": 0,
                "kv_cache_spec_kind": "full_attention"})
            self.assertEqual(stored[1]["parent_block_hash"], hashes[-1])
            self.assertEqual(stored[1]["block_hashes"], block_hashes(first[:32] + prompt(2, 20), "17")[2:])

            # What others' prompts push out is told; a router's index never names more than the cache can hold.
            known = set()
            for i in range(3, 30):
                ask(server, prompt(i, 40))
            for _, events in router.replay(0):
                for event in events:
                    if event["type"] == "BlockStored":
                        known.update(event["block_hashes"])
                    else:
                        self.assertEqual((event["type"], event["medium"]), ("BlockRemoved", "GPU"))
                        known.difference_update(event["block_hashes"])
            self.assertLessEqual(len(known), 11)
            self.assertNotIn(hashes[0], known)
            self.assertIn(block_hashes(prompt(29, 40), "17")[0], known)

    def test_live_batches_are_those_of_the_replay(self):
        with serve() as server:
            router = Router(server)
            self.addCleanup(router.close)
            heard = []
            for i in range(100):  # until the subscription has arrived
                ask(server, prompt(i, 20))
                if batch := router.hear(100):
                    heard.append(batch)
                    break
            for i in range(100, 105):
                ask(server, prompt(i, 50))
            self.assertEqual(server.post("/reset_prefix_cache", {})[0], 200)
            while not heard or heard[-1][1] != [{"type": "AllBlocksCleared"}]:
                batch = router.hear()
                self.assertIsNotNone(batch, heard[-1:])
                heard.append(batch)
            self.assertEqual(router.replay(heard[0][0]), heard)
            numbers = [number for number, _ in heard]
            self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
            self.assertEqual(router.replay(10**6), [])
            self.assertEqual(server.metric("pagoda:kv_event_batches_dropped_total"), 0)
            self.assertEqual(server.metric("pagoda:kv_event_batches_published_total"), numbers[-1] + 1)

    def test_positional_events_for_older_subscribers(self):
        with serve(encoding="array") as server:
            router = Router(server)
            self.addCleanup(router.close)
            tokens = prompt(1, 17)
            ask(server, tokens)
            self.assertEqual(router.replay(0), [
                (0, [["BlockStored", block_hashes(tokens, "17"), None, tokens[:16], 16, None, "GPU", None]])])


if __name__ == "__main__":
    unittest.main()
