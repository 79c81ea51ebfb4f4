#!/usr/bin/env python3
"""A closed loop of streaming clients against any server with /v1/completions.

    bench/http_load.py http://127.0.0.1:8000 --clients 32 --requests 96 --input-len 100 --output-len 64

Prompts are random words of word_vocabulary.py. Prints one JSON object: output tokens per second, time to the first
token and between tokens. Only the standard library.
"""
import argparse
import asyncio
import json
import random
import time
import urllib.parse

from word_vocabulary import WORDS


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


async def body_lines(reader, chunked):
    """Lines of a response's body as they arrive."""
    rest = b""
    while True:
        if chunked:
            size = int((await reader.readline()).split(b";")[0] or b"0", 16)
            data = await reader.readexactly(size)
            await reader.readline()
        else:
            data = await reader.read(65536)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line


async def post(host, port, path, payload):
    """A response's lines; raises RuntimeError with the body unless the status is 200."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        body = json.dumps(payload).encode()
        writer.write(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                     f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = body_lines(reader, "transfer-encoding: chunked" in head.lower())
        if head.split()[1] != "200":
            raise RuntimeError(head.splitlines()[0] + ": " + str([line async for line in lines]))
        async for line in lines:
            yield line
    finally:
        writer.close()


async def one_request(host, port, model, prompt, output_len):
    """(start, times of tokens, tokens in, tokens out). A token's time is its event's; their number is the server's word."""
    payload = {"model": model, "prompt": prompt, "max_tokens": output_len, "temperature": 0, "ignore_eos": True,
               "stream": True, "stream_options": {"include_usage": True}, "cache_prompt": False}
    start, times, usage = time.perf_counter(), [], None
    async for line in post(host, port, "/v1/completions", payload):
        if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
            continue
        now = time.perf_counter()
        event = json.loads(line[5:])
        if "error" in event:
            raise RuntimeError(str(event["error"]))
        usage = event.get("usage") or usage
        if any(choice.get("text") for choice in event.get("choices", [])):
            times.append(now)
    if usage is None:
        raise RuntimeError("the stream told no usage")
    return start, times, usage["prompt_tokens"], usage["completion_tokens"]


async def closed_loop(args, url):
    randomly = random.Random(args.seed)
    prompts = [" ".join(randomly.choices(WORDS, k=args.input_len)) for _ in range(args.requests + 1)]
    await one_request(url.hostname, url.port, args.model, prompts.pop(), 4)  # warms up
    results, begin = [], time.perf_counter()

    async def client():
        while prompts:
            results.append(await one_request(url.hostname, url.port, args.model, prompts.pop(), args.output_len))

    await asyncio.gather(*(client() for _ in range(args.clients)))
    elapsed = time.perf_counter() - begin
    tokens = sum(result[3] for result in results)
    first = [times[0] - start for start, times, _, _ in results if times]
    between = [b - a for _, times, _, _ in results for a, b in zip(times, times[1:])]
    per_token = [(times[-1] - times[0]) / (count - 1) for _, times, _, count in results if times and count > 1]
    report = {"clients": args.clients, "requests": len(results), "seconds": elapsed,
              "input_tokens": sum(result[2] for result in results), "output_tokens": tokens,
              "output_tokens_per_s": tokens / elapsed, "events": sum(len(times) for _, times, _, _ in results)}
    for name, values in [("ttft", first), ("itl", between), ("tpot", per_token)]:
        for share in (50, 99):
            value = percentile(values, share / 100)
            report[f"{name}_p{share}_ms"] = None if value is None else value * 1e3
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--model", default="m")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--input-len", type=int, default=100)
    parser.add_argument("--output-len", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(json.dumps(asyncio.run(closed_loop(args, urllib.parse.urlsplit(args.url)))))


if __name__ == "__main__":
    main()
