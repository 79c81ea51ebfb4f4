#!/usr/bin/env python3
"""Asks a running server the held-out questions: check_answers.py [--url http://127.0.0.1:8000]. Fails under 80 %.

Needs only the standard library, so it works with any OpenAI-compatible server which serves demo/model.
"""

import argparse
import json
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
NEEDED = 0.8


def call(url, key, path, body=None):
    request = urllib.request.Request(url.rstrip("/") + path, data=None if body is None else json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    if key:
        request.add_header("Authorization", "Bearer " + key)
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


def answer_to(url, key, model, question):
    body = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 100}
    return call(url, key, "/v1/chat/completions", body)["choices"][0]["message"]["content"] or ""


def contains(answer, must_contain):
    return all(any(choice.lower() in answer.lower() for choice in choices) for choices in must_contain)


def score(options, model, name):
    cases = json.loads((HERE / name).read_text())
    good = 0
    for case in cases:
        answer = answer_to(options.url, options.api_key, model, case["question"])
        if contains(answer, case["must_contain"]):
            good += 1
        else:
            print(f"FAIL {case['question']}\n     {answer}")
    print(f"{name}: {good} of {len(cases)}")
    return good, len(cases)


def main():
    parser = argparse.ArgumentParser(description="Asks a running server the held-out questions of the demo model.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--api-key", default="")
    parser.add_argument("--files", nargs="+", default=["heldout.json", "unknown.json"])
    options = parser.parse_args()
    model = call(options.url, options.api_key, "/v1/models")["data"][0]["id"]
    good, asked = map(sum, zip(*(score(options, model, name) for name in options.files)))
    print(f"score: {good} of {asked} ({good / asked:.0%})")
    return 0 if good >= NEEDED * asked else 1


if __name__ == "__main__":
    sys.exit(main())
