"""Renders chats with the model's chat template, as Hugging Face tokenizers do."""

import json
from pathlib import Path

import jinja2.sandbox

SOURCE = (Path(__file__).parent / "chat_template.jinja").read_text()


def _tojson(value, indent=None):
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _compile():
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = _tojson
    return environment.from_string(SOURCE)


_TEMPLATE = _compile()


def render(messages, tools=None, add_generation_prompt=False):
    return _TEMPLATE.render(messages=messages, tools=tools, add_generation_prompt=add_generation_prompt)
