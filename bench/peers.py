"""How each engine is run and what it prints: the sides of bench/compare."""
import contextlib
import json
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.request

import gguf_sizes
import word_vocabulary

BENCH = pathlib.Path(__file__).resolve().parent
# Our format: (flags of pagoda, GGUF type)
FORMATS = {"bf16": ([], "bf16"), "int8": (["--quantization", "int8"], "q8_0"), "int4": (["--quantization", "int4"], "q4_0")}
STREAMS, INPUT, OUTPUT, CLIENTS = (1, 8, 32), 128, 64, 32
HTTP_INPUT, HTTP_OUTPUT, ALONE_REQUESTS = 100, 64, 3


class Failed(Exception):
    """A program did not do what was asked; the message has its last words."""


def run(command, log, timeout, both=False):
    """stdout of a program, or both outputs one after the other; they go to the log too."""
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace",
                              timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[0]} took more than {timeout} s") from error
    with open(log, "a") as file:
        file.write(f"$ {' '.join(map(str, command))}\n{done.stderr}\n{done.stdout}\n")
    if done.returncode != 0:
        raise Failed(f"{pathlib.Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-200:]} (see {log})")
    return done.stdout + done.stderr if both else done.stdout


@contextlib.contextmanager
def server(command, port, log, timeout):
    """A server while it is healthy."""
    with open(log, "a") as file:
        file.write(f"$ {' '.join(map(str, command))}\n")
        file.flush()
        process = subprocess.Popen([str(part) for part in command], stdout=file, stderr=file)
        try:
            end = time.monotonic() + timeout
            while True:
                if process.poll() is not None:
                    raise Failed(f"{pathlib.Path(command[0]).name} ended with code {process.returncode} (see {log})")
                with contextlib.suppress(OSError):
                    if urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).status == 200:
                        break
                if time.monotonic() > end:
                    raise Failed(f"{command[0]} is not healthy after {timeout} s (see {log})")
                time.sleep(0.5)
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def model_folder(config, work):
    """A folder that Pagoda and vLLM serve with --load-format dummy."""
    folder = work / "model"
    if not folder.exists():
        folder.mkdir()
        shutil.copy(config, folder / "config.json")
        size = json.loads(pathlib.Path(config).read_text())["vocab_size"]
        (folder / "tokenizer.json").write_text(json.dumps(word_vocabulary.tokenizer_json(size)))
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


class Side:
    """One engine. Its blocks return {row of ROWS: value}, and weight_bytes where it knows them."""

    def __init__(self, name, args, work):
        self.name, self.args, self.work = name, args, work
        self.log = work / f"{name}.log"

    def steps(self, fmt):
        raise NotImplementedError

    def batch(self, fmt):
        raise NotImplementedError

    def server_command(self, fmt, port):
        raise NotImplementedError

    @contextlib.contextmanager
    def serving(self, fmt):
        """The address of a server of this format while it runs."""
        port = free_port()
        with server(self.server_command(fmt, port), port, self.log, self.args.timeout):
            yield f"http://127.0.0.1:{port}"

    def load(self, url, clients, requests):
        model = json.load(urllib.request.urlopen(f"{url}/v1/models", timeout=30))["data"][0]["id"]
        report = json.loads(run(
            ["python3", BENCH / "http_load.py", url, "--model", model, "--clients", clients, "--requests", requests,
             "--input-len", HTTP_INPUT, "--output-len", HTTP_OUTPUT], self.log, self.args.timeout))
        for kind, length in [("input", HTTP_INPUT + 1), ("output", HTTP_OUTPUT)]:  # with the BOS
            if report[f"{kind}_tokens"] != requests * length:
                raise Failed(f"{report[f'{kind}_tokens']} {kind} tokens, not {length} of each of {requests} requests")
        return report

    def http(self, fmt):
        with self.serving(fmt) as url:
            report = self.load(url, CLIENTS, self.args.requests)
            alone = self.load(url, 1, ALONE_REQUESTS)
        values = {"http_tokens_per_s": report["output_tokens_per_s"], "http_events": report["events"],
                  "http_alone": 1e3 / alone["tpot_p50_ms"]}
        for name in ("ttft_p50", "ttft_p99", "itl_p50", "itl_p99"):
            values[f"http_{name}_ms"] = report[f"{name}_ms"]
        return values


class Pagoda(Side):
    def step_bench(self, fmt, *flags):
        command = [self.args.step_bench, "--hf-config", self.args.model, "--threads", self.args.threads, "--json",
                   "--repeat", 1, *FORMATS[fmt][0], *flags]
        report = json.loads(run(command, self.log, self.args.timeout))
        values = {"weight_bytes": report["model"]["weight_bytes_per_step"], "cells": report["cells"]}
        return values, [cell["tokens_per_s"] for cell in report["cells"]]

    def steps(self, fmt):
        values, (prefill, decode) = self.step_bench(fmt, "--prefill", 512, "--chunk", 512, "--decode", "1@0",
                                                    "--steps", OUTPUT)
        return {**values, "prefill_512": prefill, "decode_1": decode}

    def batch(self, fmt):
        shapes = ",".join(f"{streams}@{INPUT}" for streams in STREAMS)
        values, speeds = self.step_bench(fmt, "--decode", shapes, "--steps", OUTPUT)
        return {**values, **{f"batch_{streams}": speed for streams, speed in zip(STREAMS, speeds)}}

    def server_command(self, fmt, port):
        if not self.args.pagoda:
            raise Failed("--pagoda is not given")
        folder = model_folder(self.args.model, self.work)
        return [self.args.pagoda, "serve", folder, "--load-format", "dummy", "--host", "127.0.0.1", "--port", port,
                "--threads", self.args.threads, "--max-num-seqs", CLIENTS, "--max-model-len", 512, *FORMATS[fmt][0]]


class LlamaCpp(Side):
    """llama.cpp or a fork of it."""

    def __init__(self, name, folder, args, work, repack=False):
        super().__init__(name, args, work)
        self.folder, self.repack = pathlib.Path(folder), repack

    def gguf(self, fmt):
        """The model's file, made if missing."""
        stem, kind = pathlib.Path(self.args.model).stem, FORMATS[fmt][1]
        base, wanted = self.work / f"{stem}-bf16.gguf", self.work / f"{stem}-{kind}.gguf"
        for path, command in [
                (base, [self.args.python, BENCH / "write_gguf.py", self.args.model]),
                (wanted, [self.folder / "llama-quantize", base])]:
            if not path.exists():
                part = path.with_suffix(".part")
                run([*command, part, *([kind] if path == wanted and path != base else [])], self.log, self.args.timeout)
                part.rename(path)
        return wanted

    def steps(self, fmt):
        path = self.gguf(fmt)
        out = run([self.folder / "llama-bench", "-m", path, "-t", self.args.threads, "-p", 512, "-n", OUTPUT, "-r", 1,
                   "-fa", 1, "-o", "json", *(["-rtr", 1] if self.repack else [])], self.log, self.args.timeout)
        tests = json.loads(out[out.index("["):])
        prefill = next(test for test in tests if test["n_prompt"] == 512)
        decode = next(test for test in tests if test["n_gen"] == OUTPUT)
        return {"prefill_512": prefill["avg_ts"], "decode_1": decode["avg_ts"],
                "weight_bytes": gguf_sizes.bytes_per_step(path)}

    def batch(self, fmt):
        path = self.gguf(fmt)
        out = run([self.folder / "llama-batched-bench", "-m", path, "-t", self.args.threads, "-npp", INPUT, "-ntg", OUTPUT,
                   "-npl", ",".join(map(str, STREAMS)), "-fa", "on", "-c", 8192, "-b", 2048, "-ub", 512,
                   *(["-rtr"] if self.repack else [])], self.log, self.args.timeout, both=True)  # ik's table is on stderr
        values = {"weight_bytes": gguf_sizes.bytes_per_step(path)}
        for line in out.splitlines():  # PP TG B N_KV T_PP S_PP T_TG S_TG T S
            numbers = re.findall(r"[\d.]+", line) if re.match(r"\|\s+\d", line) else []
            if len(numbers) == 10:
                values[f"batch_{numbers[2]}"] = float(numbers[7])
        missing = [streams for streams in STREAMS if f"batch_{streams}" not in values]
        if missing:
            raise Failed(f"llama-batched-bench told nothing about {missing} streams (see {self.log})")
        return values

    def server_command(self, fmt, port):
        return [self.folder / "llama-server", "-m", self.gguf(fmt), "-t", self.args.threads, "-c", 16384, "-np", CLIENTS,
                "-fa", "on", "--host", "127.0.0.1", "--port", port, *(["-rtr"] if self.repack else [])]


class Running(Side):
    """A server that somebody else started, in bf16, on the folder of model_folder(): vLLM."""

    def __init__(self, name, url, args, work):
        super().__init__(name, args, work)
        self.url = url.rstrip("/").removesuffix("/v1")

    def steps(self, fmt):
        raise Failed("only the HTTP block")

    batch = steps

    @contextlib.contextmanager
    def serving(self, fmt):
        if fmt != "bf16":
            raise Failed("only bf16")
        yield self.url


def programs(args):
    names = ("llama-bench", "llama-batched-bench", "llama-server", "llama-quantize")
    return [pathlib.Path(folder) / name for folder in (args.llama, args.ik) if folder for name in names]


def sides(args, work):
    found = [Pagoda("pagoda", args, work)]
    if args.llama:
        found.append(LlamaCpp("llama", args.llama, args, work))
    if args.ik:
        found.append(LlamaCpp("ik", args.ik, args, work, repack=args.ik_repack))
    if args.vllm:
        found.append(Running("vllm", args.vllm, args, work))
    return found
