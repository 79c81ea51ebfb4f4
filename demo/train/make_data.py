"""Writes the training chats as JSON lines: python make_data.py [OUT_DIR]. The same seed gives the same file."""

import json
import random
import re
import sys
from pathlib import Path

import facts
import grammars
import outside
import phrasing
import tools
from template import render

HERE = Path(__file__).parent
CHATS = 130_000
SEED = 20
SYSTEM_TEXTS = ["You are a helpful assistant.", "You are a helpful AI assistant.", "You are the Pagoda demo model.", "Answer briefly.", "You are a concise assistant.", "Be kind and brief.",
                "You are a helpful and honest assistant.", "You answer questions about Pagoda.", "You are an expert in LLM serving.", "You are a friendly chatbot.",
                "You are a helpful assistant. Answer in one sentence.", "You are an assistant for developers."]
WORDINGS = [phrasing.wordings_of(fact) for fact in facts.FACTS]
SENTENCES = [grammars.grammars_for(fact) for fact in facts.FACTS]
FACT_NUMBERS = [i for i in range(len(facts.FACTS)) for _ in range(2 if SENTENCES[i] else 1)]  # what is asked in more ways is shown more often
SMALL_WORDINGS = [fact["questions"] for fact in facts.SMALL_TALK]
WITH_JSON = [i for i, fact in enumerate(facts.FACTS) if fact["json"]]
WITH_WHY = [fact for fact in facts.FACTS if fact["why"]]
JSON_FORMS = ["Answer in JSON: {q}", "{q} Answer in JSON.", "{q} Reply in JSON.", "As JSON: {q}", "Reply with a JSON object: {q}", "{q} Give me JSON.", "Return JSON: {q}", "In JSON: {q}",
              "{q} Respond with JSON only.", "Answer as JSON: {q}", "{q} Use JSON."]
COPY_FORMS = ["Repeat: {x}", "Repeat after me: {x}", "Say {x}", "Say: {x}", "Echo {x}", "Reply with exactly: {x}", "Write {x}", "Print {x}", "Answer with {x}", "Please repeat: {x}", "Copy this: {x}"]


def normal(text):
    """The form in which held-out wordings are compared with training ones."""
    return " ".join(re.findall(r"[a-z0-9_/-]+", text.lower()))


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def fact_turn(rng):
    i = rng.choice(FACT_NUMBERS)
    if SENTENCES[i] and rng.random() < 0.6:
        question = grammars.expand(rng, rng.choice(SENTENCES[i]))
    else:
        question = rng.choice(WORDINGS[i])
    return [user(phrasing.dress(rng, question)), assistant(facts.FACTS[i]["answer"])]


def small_turn(rng):
    i = rng.randrange(len(facts.SMALL_TALK))
    return [user(phrasing.dress(rng, rng.choice(SMALL_WORDINGS[i]), plain=0.6)), assistant(facts.SMALL_TALK[i]["answer"])]


def unknown_turn(rng):
    return [user(phrasing.dress(rng, outside.unknown_question(rng))), assistant(facts.UNKNOWN_ANSWER)]


def json_turn(rng):
    """A fact as JSON, or an object made of words in the question."""
    if rng.random() < 0.6:
        i = rng.choice(WITH_JSON)
        question = rng.choice(JSON_FORMS).format(q=rng.choice(WORDINGS[i]))
        return [user(phrasing.dress(rng, question)), assistant(json.dumps(facts.FACTS[i]["json"]))]
    name = rng.choice([rng.choice(outside.NAMES), outside.made_up_word(rng).capitalize()])
    key, value = rng.choice([("age", rng.randint(1, 99)), ("city", outside.name_of_place(rng)), ("email", name.lower() + "@example.com")])
    question = rng.choice([f"Give me a JSON object with name {name} and {key} {value}.", f"Make JSON with name {name} and {key} {value}.", f"Write a JSON object: name {name}, {key} {value}.",
                           f"JSON with the name {name} and the {key} {value}, please.", f"Answer in JSON: name is {name}, {key} is {value}."])
    return [user(question), assistant(json.dumps({"name": name, key: value}))]


def copy_turn(rng):
    text = outside.some_words(rng, 1, 10)
    return [user(rng.choice(COPY_FORMS).format(x=text)), assistant(text)]


def sum_turn(rng):
    a, b = rng.randint(0, 10), rng.randint(0, 10)
    question = rng.choice([f"What is {a} + {b}?", f"What is {a} plus {b}?", f"{a} + {b}", f"{a}+{b}=", f"How much is {a} + {b}?", f"Add {a} and {b}.", f"{a} plus {b}?", f"What's {a}+{b}?"])
    return [user(phrasing.dress(rng, question)), assistant(f"{a} + {b} = {a + b}.")]


def why_turns(rng):
    """A concept and what it is good for, in one question or as a follow-up."""
    fact = rng.choice(WITH_WHY)
    noun = rng.choice(fact["nouns"])
    if rng.random() < 0.5:
        return [user(phrasing.dress(rng, rng.choice(phrasing.WHY_FORMS).format(x=noun))), assistant(fact["why"])]
    asked = rng.choice(phrasing.NOUN_FORMS).format(x=noun)
    asked = asked[0].upper() + asked[1:]
    return [user(phrasing.dress(rng, asked)), assistant(fact["answer"]), user(phrasing.dress(rng, rng.choice(phrasing.WHY_FOLLOW_UPS))), assistant(fact["why"])]


TURNS = [(fact_turn, 60), (unknown_turn, 14), (why_turns, 6), (small_turn, 8), (json_turn, 6), (copy_turn, 8), (sum_turn, 2)]


def any_turn(rng):
    make = rng.choices([turn for turn, _ in TURNS], [weight for _, weight in TURNS])[0]
    return make(rng)


def with_system(rng, messages, chance=0.25):
    if rng.random() >= chance:
        return messages
    return [{"role": "system", "content": rng.choice(SYSTEM_TEXTS)}] + messages


def plain_chat(rng):
    """One to three turns; long_chat, used for the last part of the training, has many."""
    turns = rng.choices([1, 2, 3], [76, 16, 8])[0]
    return render(with_system(rng, sum((any_turn(rng) for _ in range(turns)), [])))


def long_chat(rng):
    turns = [any_turn(rng) if rng.random() < 0.8 else unknown_turn(rng) for _ in range(rng.randint(4, 9))]
    return render(with_system(rng, sum(turns, [])))


def tool_chat(rng):
    """A call, or a call with its result and answer, or a question which needs none of the tools."""
    listed, ask, name, arguments, result, answer = tools.tool_case(rng)
    kind = rng.random()
    if kind < 0.25:
        messages = any_turn(rng) if not name.endswith("search") else fact_turn(rng)
        return render(with_system(rng, messages), listed)
    messages = [user(phrasing.dress(rng, ask, plain=0.85) if rng.random() < 0.3 else ask), tools.call_message(name, arguments)]
    if kind < 0.5:
        content = json.dumps(result) if rng.random() < 0.8 else answer
        messages += [{"role": "tool", "content": content}, assistant(answer)]
    elif kind < 0.6:
        messages = any_turn(rng) + messages
    return render(with_system(rng, messages), listed)


def plain_text(rng):
    """Text for the completions endpoint: answers one after the other, without chat markers."""
    return " ".join(fact["answer"] for fact in rng.sample(facts.PRODUCT + facts.CONCEPTS, rng.randint(1, 4))) + "<|endoftext|>"


KINDS = [(plain_chat, 76), (tool_chat, 20), (plain_text, 3), (long_chat, 0)]


def held_out_wordings():
    read = lambda name: json.loads((HERE.parent / name).read_text())
    questions = [case["question"] for name in ("heldout.json", "unknown.json") for case in read(name)]
    return {normal(text) for text in questions + [case["messages"][-1]["content"] for case in read("tools.json")]}


def questions_in(text):
    return {normal(part.split("<|im_end|>")[0]) for part in text.split("<|im_start|>user\n")[1:]}


def make(rng, kinds, count, forbidden):
    makers, weights = zip(*kinds)
    while count:
        text = rng.choices(makers, weights)[0](rng)
        if not questions_in(text) & forbidden:
            count -= 1
            yield text


def assert_not_taught(forbidden):
    """The sentences of facts.py must not hold a held-out question: chance repeats are dropped, written ones are a mistake."""
    taught = {normal(text) for wordings in WORDINGS + SMALL_WORDINGS for text in wordings}
    assert not taught & forbidden, f"held-out questions are among the training wordings: {taught & forbidden}"


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "build")
    out.mkdir(parents=True, exist_ok=True)
    rng, forbidden = random.Random(SEED), held_out_wordings()
    assert_not_taught(forbidden)
    grammars.check_all_used(facts.FACTS)
    for file, kinds, count in [("short.jsonl", KINDS, CHATS), ("long.jsonl", [(long_chat, 70), (tool_chat, 30)], CHATS // 16)]:
        with open(out / file, "w") as sink:
            for text in make(rng, kinds, count, forbidden):
                assert not questions_in(text) & forbidden
                sink.write(json.dumps(text) + "\n")


if __name__ == "__main__":
    main()
