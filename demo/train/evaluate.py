"""Scores an exported folder on the held-out files with the NumPy reference: python evaluate.py [MODEL_DIR] [--write-golden]."""

import json
import re
import sys
from pathlib import Path

from reference import Llama
from template import render

DEMO = Path(__file__).parent.parent
GOLDEN_CHATS = [
    [{"role": "user", "content": "What is Pagoda?"}],
    [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "Which port does Pagoda use?"}],
    [{"role": "user", "content": "What is the KV cache?"}],
    [{"role": "user", "content": "Hello!"}],
    [{"role": "user", "content": "Tell me a joke"}],
    [{"role": "user", "content": "What is continuous batching?"}],
    [{"role": "user", "content": "Answer in JSON: What port does Pagoda listen on?"}],
    [{"role": "user", "content": "What is a token?"},
     {"role": "assistant", "content": "A token is a piece of text, often a word or part of a word, which the model reads and writes as one number."},
     {"role": "user", "content": "And what does a tokenizer do?"}],
]


def contains(answer, must_contain):
    return all(any(choice.lower() in answer.lower() for choice in choices) for choices in must_contain)


def called(answer):
    """The first tool call in an answer as (name, arguments), or None."""
    found = re.search(r"<tool_call>\s*(.*?)\s*</tool_call>", answer, re.S)
    try:
        call = json.loads(found.group(1)) if found else None
        return call and (call["name"], call["arguments"])
    except (ValueError, KeyError, TypeError):
        return None


def score(name, cases, passes):
    failed = [(case, answer) for case, answer, good in passes if not good]
    for case, answer in failed:
        print(f"FAIL {name}: {case.get('question') or case['messages'][-1]['content']}\n     {answer}")
    print(f"{name}: {len(cases) - len(failed)} of {len(cases)}")


def check_questions(model, name):
    cases = json.loads((DEMO / f"{name}.json").read_text())
    passes = []
    for case in cases:
        answer = model.answer(render([{"role": "user", "content": case["question"]}], add_generation_prompt=True))
        passes.append((case, answer, contains(answer, case["must_contain"])))
    score(name, cases, passes)


def check_tools(model):
    cases = json.loads((DEMO / "tools.json").read_text())
    passes = []
    for case in cases:
        answer = model.answer(render(case["messages"], case["tools"], add_generation_prompt=True))
        wanted = (case["name"], case["arguments"]) if case["name"] else None
        passes.append((case, answer, called(answer) == wanted))
    score("tools", cases, passes)


def golden(model, messages):
    prompt = render(messages, add_generation_prompt=True)
    output, gap = model.generate(prompt)
    return {"messages": messages, "prompt": prompt, "prompt_ids": model.tokenizer.encode(prompt).ids, "output_ids": output,
            "output_text": model.tokenizer.decode(output, skip_special_tokens=True), "smallest_logit_gap": round(gap, 4)}


def write_golden(model):
    """The five chats whose greedy choices are clearest, so that rounding in another implementation can not turn them."""
    chats = sorted((golden(model, messages) for messages in GOLDEN_CHATS), key=lambda chat: -chat["smallest_logit_gap"])[:5]
    lines = ",\n".join(json.dumps(chat) for chat in chats)
    (DEMO / "golden.json").write_text(f"[\n{lines}\n]\n")
    print("golden gaps:", [chat["smallest_logit_gap"] for chat in chats])


def main():
    folders = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    model = Llama(folders[0] if folders else DEMO / "model")
    check_questions(model, "heldout")
    check_questions(model, "unknown")
    check_tools(model)
    if "--write-golden" in sys.argv:
        write_golden(model)


if __name__ == "__main__":
    main()
