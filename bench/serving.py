#!/usr/bin/env python3
"""Serving under load: each experiment starts its servers, loads them and prints a table.

    bench/serving.py prefix   --pagoda build/bench/bin/pagoda       # repeated system prompts, cache on against off
    bench/serving.py unique   --pagoda ...                          # what the cache costs where nothing repeats
    bench/serving.py mixed    --pagoda ... --llama .../llama-server --gguf model.gguf
    bench/serving.py overload --pagoda ... --seconds 300            # five times the capacity, a small cache
    bench/serving.py trace    --pagoda ... --trace trace.jsonl      # a trace's first two minutes, for each policy

Weights are random in the shape of --model. Only the standard library; the load comes from `pagoda bench serve`, but for
`mixed`. Nothing else should run meanwhile.
"""
import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from http_load import percentile, post

HERE = os.path.dirname(os.path.abspath(__file__))
LLAMA_LIKE = '{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}'  # the shape is what counts


class Server:
    """A server process on its own port, ready when this returns."""

    def __init__(self, command, port, ready="/health", env=None):
        self.url, self.port = f"http://127.0.0.1:{port}", port
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log", delete=False)
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
        for _ in range(1200):
            with contextlib.suppress(OSError):
                if urllib.request.urlopen(self.url + ready).status == 200:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.stop()
        sys.exit("the server did not start: " + open(self.log.name).read()[-2000:])

    def metrics(self):
        """Sums over labels of each series."""
        out = {}
        for line in urllib.request.urlopen(self.url + "/metrics").read().decode().splitlines():
            match = re.match(r"([a-zA-Z_:]+)(?:\{.*\})? ([0-9.eE+-]+)$", line)
            if match:
                out[match[1]] = out.get(match[1], 0) + float(match[2])
        return out

    def resident_mb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read())[1]) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return -9

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def pagoda(args, *flags, env=None):
    port = random.randrange(20000, 30000)
    command = [args.pagoda, "serve", "--load-format", "dummy", "--hf-config", args.model, "--hf-overrides", LLAMA_LIKE,
               "--served-model-name", "m", "--port", str(port), "--disable-uvicorn-access-log", *map(str, flags)]
    if args.quantization:
        command += ["--quantization", args.quantization]
    return Server(command, port, env=env)


def load(args, server, *flags):
    """One run of `pagoda bench serve`: its result file."""
    with tempfile.TemporaryDirectory() as folder:
        command = [args.pagoda, "bench", "serve", "--base-url", server.url, "--skip-tokenizer-init", "--random-as-ids",
                   "--random-vocab-size", "100000", "--disable-tqdm", "--save-result", "--result-dir", folder,
                   "--result-filename", "r.json", "--metric-percentiles", "50,90,99", *map(str, flags)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit("bench serve failed: " + done.stdout[-1500:] + done.stderr[-1500:])
        return json.load(open(os.path.join(folder, "r.json")))


def table(title, rows):
    print(f"\n{title}\n")
    names = list(rows[0])
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()) + " |", flush=True)


def prefix(args):
    """Requests with one of a few system prompts of 2,048 tokens, a question of 32, an answer of 16."""
    flags = ["--dataset-name", "prefix_repetition", "--prefix-repetition-prefix-len", 2048, "--prefix-repetition-suffix-len", 32,
             "--prefix-repetition-num-prefixes", 2, "--prefix-repetition-output-len", 16, "--ignore-eos"]
    rows = []
    for turn in range(args.turns):
        for name, flag in (("off", "--no-enable-prefix-caching"), ("on", "--enable-prefix-caching")):
            with pagoda(args, flag, "--max-model-len", 4096, "--max-num-seqs", 16) as server:
                load(args, server, *flags, "--num-prompts", 2, "--max-concurrency", 1)  # both prefixes are known from here on
                alone = load(args, server, *flags, "--num-prompts", 4, "--max-concurrency", 1)
                many = load(args, server, *flags, "--num-prompts", args.requests, "--max-concurrency", 8)
                rows.append({"turn": turn, "cache": name, "ttft alone p50 ms": alone["p50_ttft_ms"],
                             "output tok/s, 8 clients": many["output_throughput"], "ttft p50 ms": many["p50_ttft_ms"]})
    off, on = [[r for r in rows if r["cache"] == name] for name in ("off", "on")]
    table("prefix: prompts of 2,048 + 32 tokens, two prefixes", rows)
    for key, ratio in (("output tok/s, 8 clients", lambda a, b: b / a), ("ttft alone p50 ms", lambda a, b: a / b),
                       ("ttft p50 ms", lambda a, b: a / b)):
        print(f"on against off, {key}: " + ", ".join(f"{ratio(a[key], b[key]):.1f}x" for a, b in zip(off, on)))


def unique(args):
    """Prompts that share nothing: the cache's cost."""
    flags = ["--dataset-name", "random", "--random-input-len", 512, "--random-output-len", 32, "--num-prompts", args.requests,
             "--max-concurrency", 8]
    rows = []
    servers = {name: pagoda(args, flag, "--max-model-len", 2048, "--max-num-seqs", 16) for name, flag in
               (("off", "--no-enable-prefix-caching"), ("on", "--enable-prefix-caching"))}
    for turn in range(args.turns + 1):
        for name in (("off", "on"), ("on", "off"))[turn % 2]:
            result = load(args, servers[name], *flags, "--seed", turn)
            if turn > 0:  # the first warms up
                rows.append({"turn": turn, "cache": name, "output tok/s": result["output_throughput"]})
    for server in servers.values():
        server.stop()
    table("unique: random prompts of 512 tokens", rows)
    mean = {name: sum(r["output tok/s"] for r in rows if r["cache"] == name) for name in servers}
    print(f"on / off: {mean['on'] / mean['off']:.4f}")


async def stream(port, prompt, tokens, times, bias):
    payload = {"model": "m", "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True,
               "cache_prompt": False, "return_token_ids": True, **({"logit_bias": {"318": 100}} if bias else {})}
    async for line in post("127.0.0.1", port, "/v1/completions", payload):
        if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
            continue
        event = json.loads(line[5:])
        if "error" in event:
            raise RuntimeError(str(event["error"]))
        if event.get("choices"):
            times.append(time.perf_counter())


async def mixed_load(args, port, bias):
    """Gaps between tokens of 16 streams, alone and while long prompts arrive one after the other; their times to the first token."""
    rng = random.Random(1)
    ids = lambda count: [rng.randrange(1000, 100000) for _ in range(count)]
    decoders = [[] for _ in range(16)]
    tasks = [asyncio.create_task(stream(port, ids(64), args.long_prompt, times, bias)) for times in decoders]
    while min(map(len, decoders)) < 8:
        await asyncio.sleep(0.1)
        for task in tasks:
            if task.done():
                task.result()
    quiet = time.perf_counter()
    await asyncio.sleep(args.seconds_alone)
    busy, first_tokens = time.perf_counter(), []
    while time.perf_counter() < busy + args.seconds or not first_tokens:
        times, start = [], time.perf_counter()
        await stream(port, ids(args.long_prompt), 2, times, bias)
        first_tokens.append(times[0] - start)
    end = time.perf_counter()
    for task in tasks:
        task.cancel()
    gaps = lambda begin, end: [b - a for times in decoders for a, b in zip(times, times[1:]) if begin <= a and b <= end]
    return gaps(quiet, busy), gaps(busy, end), first_tokens


def mixed(args):
    context = args.long_prompt + 64
    room = ["--max-model-len", 2 * args.long_prompt, "--max-num-seqs", 32, "--kv-cache-memory-bytes", "4G"]
    plans = [("chunks as they come (default)", lambda: pagoda(args, *room), False),
             ("fixed chunks of 256", lambda: pagoda(args, *room, "--no-adaptive-chunks"), False),
             (f"--itl-slo-ms {args.slo}", lambda: pagoda(args, *room, "--itl-slo-ms", args.slo), False)]
    if args.llama:
        port = random.randrange(20000, 30000)
        command = [args.llama, "-m", args.gguf, "-c", str(17 * (context + 1024)), "-np", "17", "-t", "2", "-fa", "on", "--port",
                   str(port), "--no-webui"]
        plans.append(("llama-server, its defaults", lambda: Server(command, port), True))
    rows = []
    for name, start, bias in plans:
        if not re.search(args.only, name):
            continue
        with start() as server:
            alone, loaded, firsts = asyncio.run(mixed_load(args, server.port, bias))
        row = {"server": name}
        for when, gaps in (("alone", alone), ("loaded", loaded)):
            row[f"itl p50 {when} ms"], row[f"itl p99 {when} ms"] = [1e3 * percentile(gaps, share) for share in (0.5, 0.99)]
        row["p99 loaded / alone"] = percentile(loaded, 0.99) / percentile(alone, 0.99)
        row[f"under {args.slo} ms"] = f"{100 * sum(g <= args.slo / 1e3 for g in loaded) / len(loaded):.2f} %"
        row["longest ms"] = 1e3 * max(loaded)
        row["tok/s loaded"] = len(loaded) / args.seconds
        row[f"ttft of {args.long_prompt} p50 s"] = percentile(firsts, 0.5)
        rows.append(row)
        table("mixed: 16 streams, prompts arriving one after the other", rows)


def overload(args):
    """An open loop at five times what the server can do, in a cache that a few requests fill."""
    shape = ["--dataset-name", "random", "--random-input-len", 256, "--random-output-len", 64, "--random-range-ratio", 0.5]
    flags = ["--max-model-len", 2048, "--num-gpu-blocks-override", args.blocks, "--max-num-seqs", 32, "--max-num-queued-reqs", 96]
    with pagoda(args, *flags) as server:
        load(args, server, *shape, "--num-prompts", 32, "--max-concurrency", 16, "--seed", 8)
        before = [load(args, server, *shape, "--num-prompts", 160, "--max-concurrency", 24, "--seed", 9 + i) for i in range(2)]
        capacity = max(r["output_throughput"] for r in before)
        rate = 5 * max(r["request_throughput"] for r in before)
        memory, start = [], time.time()
        result = None

        def run():
            nonlocal result
            result = load(args, server, *shape, "--num-prompts", int(rate * args.seconds), "--request-rate", rate, "--seed", 5,
                          "--save-detailed")

        import threading
        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            memory.append((time.time() - start, server.resident_mb()))
            thread.join(5)
        after = load(args, server, *shape, "--num-prompts", 160, "--max-concurrency", 24, "--seed", 77)
        metrics = server.metrics()
        code = server.stop()
    errors = [e for e in result.get("errors", []) if e]
    kinds = {}
    for error in errors:
        kind = re.sub(r"\d+", "N", error)[:120]
        kinds[kind] = kinds.get(kind, 0) + 1
    third = len(memory) // 3
    table("overload", [{"offered req/s": rate, "seconds": args.seconds, "unloaded maximum tok/s": capacity,
                        "goodput tok/s": result["output_throughput"], "ratio": result["output_throughput"] / capacity,
                        "completed": result["completed"], "refused": len(errors), "maximum again tok/s": after["output_throughput"],
                        "preemptions": metrics.get("vllm:num_preemptions_total", 0),
                        "RSS MB at 1/3, end": f"{memory[third][1]:.0f}, {memory[-1][1]:.0f}", "exit code": code}])
    print("errors by kind:", json.dumps(kinds, indent=1))
    print("ttft p50/p99 ms of the admitted:", result["p50_ttft_ms"], result["p99_ttft_ms"])


def trace_bound(path, count, scale):
    """Share of prompt tokens that an endless cache would have, by the trace's own hashes, in blocks of 16."""
    lines = [json.loads(line) for line, _ in zip(open(path), range(count))]
    known, hit, total = set(), 0, 0
    for line in lines:
        length = max(int(line["il"] * scale), 1)
        total += length
        chunk = line["il"] / len(line["bh"]) if line["bh"] else 0
        found = 0
        for i, key in enumerate(line["bh"]):
            if key not in known:
                break
            found = i + 1
        known.update(line["bh"])
        hit += min(found * int(1024 * scale) // 16 * 16, (length - 1) // 16 * 16)
    return hit / total, total


def trace(args):
    count = sum(json.loads(line)["ts"] < 1000 * args.trace_seconds for line in open(args.trace))
    bound, tokens = trace_bound(args.trace, count, args.length_scale)
    shape = ["--dataset-name", "timed_trace", "--dataset-path", args.trace, "--num-prompts", count,
             "--timed-trace-length-scale", args.length_scale, "--timed-trace-chunk-hash-size", 1024]
    room = ["--max-model-len", 8192, "--kv-cache-memory-bytes", "6G", "--max-num-seqs", 64]
    with pagoda(args, *room) as server:
        all_at_once = load(args, server, *shape, "--no-self-timed", "--max-concurrency", 32)
    scale = all_at_once["duration"] / args.trace_seconds / 0.8
    print(f"{count} requests, {tokens} prompt tokens; as fast as it can: {all_at_once['duration']:.0f} s; times x {scale:.2f}")
    rows = []
    for policy in ("fcfs", "priority", "fair"):
        with pagoda(args, *room, "--scheduling-policy", policy) as server:
            r = load(args, server, *shape, "--timed-trace-time-scale", scale)
            m = server.metrics()
        rate = m["vllm:prefix_cache_hits_total"] / m["vllm:prefix_cache_queries_total"]
        rows.append({"policy": policy, **{f"{k} p{p} ms": r[f"p{p}_{k}_ms"] for k in ("ttft", "itl") for p in (50, 90, 99)},
                     "hit rate": rate, "bound": bound, "hits / bound": rate / bound, "failed": count - r["completed"]})
        table("trace", rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=["prefix", "unique", "mixed", "overload", "trace"])
    parser.add_argument("--pagoda", default="build/release/bin/pagoda")
    parser.add_argument("--model", help="a config.json; of a 1B shape, for overload and trace of 0.5B")
    parser.add_argument("--quantization", default="int8")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--requests", type=int, default=24)
    parser.add_argument("--llama")
    parser.add_argument("--gguf")
    parser.add_argument("--only", default="", help="mixed: servers whose name matches")
    parser.add_argument("--long-prompt", type=int, default=8192)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seconds-alone", type=float, default=15)
    parser.add_argument("--slo", type=float, default=150)
    parser.add_argument("--blocks", type=int, default=400)
    parser.add_argument("--trace")
    parser.add_argument("--trace-seconds", type=float, default=120)
    parser.add_argument("--length-scale", type=float, default=0.05)
    args = parser.parse_args()
    small = args.experiment in ("overload", "trace")
    args.model = args.model or os.path.join(HERE, "models", "Qwen2.5-0.5B.json" if small else "Llama-3.2-1B.json")
    globals()[args.experiment](args)


if __name__ == "__main__":
    main()
