"""Requests that were sent to vLLM 0.32 (SmolLM2, float32), with what it answered: ours must be the same.

A field's values stand with their outcome: 200, or the `param` of a 400. A param at "body" has the type "Bad Request" (the body does
not fit the schema), every other one, None included, has "BadRequestError". What differs on purpose is not in here:
docs/guide/differences-from-vllm.md.
"""
import json
import unittest

from harness import Server

CHAT_PATH, TEXT_PATH = "/v1/chat/completions", "/v1/completions"
USER = [{"role": "user", "content": "hi"}]
CHAT_BASE = {"messages": USER, "max_tokens": 2, "temperature": 0}
TEXT_BASE = {"prompt": "Hello", "max_tokens": 2, "temperature": 0}

BOTH = {
    "temperature": [('0.5', 200), (' 0.5 ', 200), ('1e-1', 200), ('abc', 'body.temperature'), ('', 'body.temperature'),
        (True, 200), ([], 'body.temperature'), ({}, 'body.temperature'), (1, 200), (-0.1, 'temperature'),
        (2.5, 'temperature'), ('nan', 'temperature'), ('inf', 'temperature'), (None, 200), ('3', 'temperature')],
    "top_p": [('0.5', 200), (0, 'top_p'), (1.1, 'top_p'), (True, 200), ('x', 'body.top_p'), (-1, 'top_p'), (None, 200),
        ([1], 'body.top_p')],
    "top_k": [('3', 200), (3.0, 200), (3.5, 'body.top_k'), (-2, None), (-1, 200), (0, 200), (True, 200),
        ('x', 'body.top_k'), ('3.0', 200), (None, 200), (1000000000000000000000000000000, 200), ({}, 'body.top_k')],
    "min_p": [(2, None), (-1, None), ('0.1', 200), ('x', 'body.min_p'), (None, 200), (False, 200)],
    "repetition_penalty": [(0, None), (-1, None), ('1.1', 200), ('x', 'body.repetition_penalty'), (None, 200), (5, 200)],
    "frequency_penalty": [(3, None), (-3, None), ('0.5', 200), ('x', 'body.frequency_penalty'), (None, 200)],
    "presence_penalty": [(3, None), (-3, None), ('0.5', 200), ('x', 'body.presence_penalty'), (None, 200)],
    "max_tokens": [('3', 200), ('3.0', 200), (3.0, 200), (3.5, 'body.max_tokens'), (0, 'max_tokens'), (-1, 'max_tokens'),
        (True, 200), ('x', 'body.max_tokens'), ([], 'body.max_tokens'), (None, 200),
        (1000000000000000000000000000000, 'max_tokens'), (99999, 'max_tokens'), ('1_0', 200)],
    "min_tokens": [(-1, None), ('1', 200), (5, None), (None, 'body.min_tokens'), (1.5, 'body.min_tokens'), (2.0, 200)],
    "n": [('1', 200), (1.0, 200), (1.5, 'body.n'), (0, None), (-1, None), (True, 200), ('x', 'body.n'), (2, None),
        (100000, None), (1000000000000000000000000000000, None), ([], 'body.n')],
    "seed": [('7', 200), (7.0, 200), (7.5, 'body.seed'), (-1, 200), (True, 200), (9223372036854775808, 'body.seed'),
        (-9223372036854775808, 200), (-9223372036854775809, 'body.seed'), ('x', 'body.seed'), (None, 200),
        (1000000000000000000000000000000, 'body.seed'), ([], 'body.seed')],
    "stream": [('false', 200), ('true', 200), ('no', 200), ('off', 200), ('n', 200), ('f', 200), ('0', 200), (0, 200),
        (1, 200), (2, 'body.stream'), (0.0, 200), (0.5, 'body.stream'), ('maybe', 'body.stream'), (None, 200),
        ([], 'body.stream'), ('False', 200), ('YES', 200)],
    "ignore_eos": [('yes', 200), (1, 200), (None, 'body.ignore_eos'), ('x', 'body.ignore_eos'), (5, 'body.ignore_eos'),
        ([], 'body.ignore_eos')],
    "skip_special_tokens": [('no', 200), (0, 200), (None, 'body.skip_special_tokens'), ('x', 'body.skip_special_tokens')],
    "spaces_between_special_tokens": [('', 'body.spaces_between_special_tokens'),
        (None, 'body.spaces_between_special_tokens'), (1, 200)],
    "include_stop_str_in_output": [(1, 200), ('on', 200), (None, 'body.include_stop_str_in_output'),
        (3, 'body.include_stop_str_in_output')],
    "echo": [(1, 200), ('x', 'body.echo'), ('false', 200)],
    "stop": [(5, 'body.stop'), ('', None), (['a', ''], None), (['a', 2], 'body.stop'), ({}, 'body.stop'),
        (True, 'body.stop'), (None, 200), ([], 200), ('x', 200)],
    "stop_token_ids": [(5, 'body.stop_token_ids'), ([1, '2'], 200), ([-1], 'stop_token_ids'),
        ([4294967296], 'stop_token_ids'), ([1.5], 'body.stop_token_ids.0'), (None, 200), ([], 200),
        (['a'], 'body.stop_token_ids.0'), ([True], 200), ({}, 'body.stop_token_ids')],
    "logit_bias": [({'1': 5}, 200), ({'1': 500}, 200), ({'a': 1}, 'logit_bias'), ({'1': 'x'}, 'body.logit_bias.1'),
        ({'1': '2'}, 200), ({'1': None}, 'body.logit_bias.1'), ([], 'body.logit_bias'), ('x', 'body.logit_bias'),
        ({'99999999': 1}, 'logit_bias'), ({'-1': 1}, 'logit_bias'), (None, 200), ({}, 200), ({'1': True}, 200),
        ({' 7 ': 1}, 200)],
    "allowed_token_ids": [([], 'allowed_token_ids'), ([1.5], 'body.allowed_token_ids.0'), ('1', 'body.allowed_token_ids'),
        ([1000000000], 'allowed_token_ids'), ([-1], 'allowed_token_ids'), (None, 200), (['5'], 200), ([5], 200)],
    "bad_words": [('x', 'body.bad_words'), ([''], None), ([1], 'body.bad_words.0'), (['hello'], 200), ([], 200),
        (None, 'body.bad_words'), ([' '], 'bad_words')],
    "truncate_prompt_tokens": [(-2, 'body.truncate_prompt_tokens'), (0, None), ('1', 200), (-1, 200), (1, 200),
        (None, 200), (99999, 'truncate_prompt_tokens'), ('x', 'body.truncate_prompt_tokens'),
        (9223372036854775808, 'body.truncate_prompt_tokens'), (1.5, 'body.truncate_prompt_tokens')],
    "truncation_side": [('right', 200), ('left', 200), (None, 200)],
    "prompt_logprobs": [(-2, 'prompt_logprobs'), (True, 200), ('1', 'prompt_logprobs'), (1, 200), (0, 200),
        (-1, 'prompt_logprobs'), (None, 200), (1.5, 'body.prompt_logprobs'), (100, 'prompt_logprobs'),
        ([], 'prompt_logprobs'), (2.0, 200)],
    "user": [(1, 'body.user'), ('a', 200), (None, 200), ([], 'body.user'), (True, 'body.user')],
    "model": [(1, 'body.model'), ('', 200), (None, 200), ([], 'body.model'), (True, 'body.model')],
    "stream_options": [({}, 200), (None, 200), ({'include_usage': True}, 'stream_options'), (1, 'stream_options'),
        ('x', 'stream_options'), ({'include_usage': None}, 'stream_options'), ([], 'body.stream_options')],
    "response_format": [('json', 'body.response_format'), ({}, 'body.response_format.type'), ({'type': 'text'}, 200),
        ({'type': 'xml'}, 'body.response_format.type'), ({'type': 'json_schema'}, 'response_format'),
        ({'type': 1}, 'body.response_format.type'), (None, 200), ([], 'body.response_format'),
        ({'type': 'structural_tag'}, 'response_format')],
    "structured_outputs": [({}, None), (None, 200)],
    "use_beam_search": [('x', 'body.use_beam_search'), (False, 200), (None, 'body.use_beam_search'), (0, 200)],
    "length_penalty": [('a', 'body.length_penalty'), (1.0, 200), ('1', 200), (2, 200), (None, 'body.length_penalty')],
    "watermarking": [(None, 200), (True, 200), (False, 200), ('x', 'body.watermarking'), (1, 200)],
    "priority": [('high', 'body.priority'), (0, 200), ('0', 200), (9223372036854775808, 'body.priority'),
        (None, 'body.priority'), (1.5, 'body.priority')],
    "cache_salt": [('', 'cache_salt'), (1, 'cache_salt'), ('abc', 200), (None, 200), ('a/b', 'cache_salt'),
        ('a@b', 'cache_salt')],
    "request_id": [(7, 'body.request_id'), ('abc', 200), (None, 'body.request_id'), ('', 200)],
    "session_id": [(7, 'body.session_id'), ('abc', 200), (None, 200)],
    "return_tokens_as_token_ids": [('x', 'body.return_tokens_as_token_ids'), (True, 200), (False, 200), (None, 200),
        (1, 200)],
    "return_token_ids": [(1, 200), ('x', 'body.return_token_ids'), (True, 200), (None, 200)],
    "routed_experts_prompt_start": [(0, 200), (-1, 'body.routed_experts_prompt_start'),
        ('x', 'body.routed_experts_prompt_start'), (1, 200), (None, 'body.routed_experts_prompt_start')],
    "return_token_offsets": [(True, 200), ('x', 'body.return_token_offsets'), (None, 200)],
    "mm_payload": [('tensors', 200), ('none', 200), ('x', 'body.mm_payload'), (None, 'body.mm_payload')],
    "return_mm_kwargs": [(True, 200), (False, 200), (None, 200), ('x', 'body.return_mm_kwargs')],
    "kv_transfer_params": [({}, 200), (None, 200), (1, 'body.kv_transfer_params'), ([], 'body.kv_transfer_params'),
        ({'do_remote_prefill': False}, 200), ({'prompt_token_ids': None}, 200)],
    "ec_transfer_params": [({}, 200), (None, 200), (1, 'body.ec_transfer_params')],
    "vllm_xargs": [({}, 200), (None, 200), ([], 'body.vllm_xargs'), ({'a': 1}, 200), ({'a': {}}, 'body.vllm_xargs.a'),
        ({'a': None}, 'body.vllm_xargs.a'), ({'a': [1, 'b']}, 200), ({'a': True}, 200)],
    "repetition_detection": [({}, 200), (None, 200), (1, 'body.repetition_detection'), ({'max_pattern_size': 0}, 200),
        ({'max_pattern_size': 0, 'min_count': 5}, 200), ({'max_pattern_size': -1}, None), ({'max_pattern_size': 3}, None),
        ({'max_pattern_size': 3, 'min_count': 'x'}, 'body.repetition_detection.min_count'), ({'foo': 1}, 200),
        ({'min_pattern_size': 2}, None)],
    "thinking_token_budget": [(-1, 200), (None, 200), (-2, 'thinking_token_budget'), ('5', 'thinking_token_budget'),
        (1.5, 'thinking_token_budget'), (True, 'thinking_token_budget'), (0, None)],
    "stream_interval": [(0, 'body.stream_interval'), (1, 200), ('2', 200), (None, 200), ('x', 'body.stream_interval'),
        (-1, 'body.stream_interval')],
    "logprob_token_ids": [(None, 200), ([], 200), ([1], 'logprob_token_ids'), ('x', 'logprob_token_ids'),
        (['a'], 'logprob_token_ids')],
    "best_of": [(1, 200), (None, 200)],
    "guided_json": [(None, 200)],
    "foo": [(1, 200)],
    "service_tier": [('auto', 200), ('x', 200), (1, 200), (None, 200)],
    "metadata": [({}, 200), ({'a': 1}, 200), (1, 200), (None, 200)],
    "store": [(True, 200), ('x', 200), (None, 200), (1, 200)],
    "safety_identifier": [('x', 200), (1, 200)],
    "prompt_cache_key": [('x', 200), (1, 200)],
    "timeout": [(None, 200)],
    "add_special_tokens": [(1, 200), ('x', 'body.add_special_tokens'), (None, 'body.add_special_tokens'), (True, 200)],
}
CHAT = {
    "logprobs": [(True, 200), (False, 200), (None, 200), (5, 'body.logprobs'), ('x', 'body.logprobs'), (1, 200),
        ('yes', 200), (0, 200)],
    "top_logprobs": [(None, 200), (0, 200), (5, 'top_logprobs'), (-1, 'top_logprobs'), ('x', 'top_logprobs'),
        ('2', 'top_logprobs')],
    "max_completion_tokens": [(None, 200), (1, 200), (1.5, 'body.max_completion_tokens'), (-1, 'max_tokens'),
        (0, 'max_tokens'), ('2', 200), ('x', 'body.max_completion_tokens')],
    "tools": [({}, 'body.tools'), ([], 'tools'), ([1], 'body.tools.0'), ([{'type': 'web'}], 'body.tools.0.type'),
        ([{'type': 'function'}], 'body.tools.0.function'),
        ([{'type': 'function', 'function': {}}], 'body.tools.0.function.name'),
        ([{'type': 'function', 'function': {'name': 1}}], 'body.tools.0.function.name'),
        ([{'type': 'function', 'function': {'name': 'f'}}], None), ([{'function': {'name': 'f'}}], None), (None, 200),
        ('x', 'body.tools'), ([{'type': 'function', 'function': {'name': ''}}], None),
        ([{'function': {'name': 'f'}, 'defer_loading': True}], None),
        ([{'type': None, 'function': {'name': 'f'}}], 'body.tools.0.type')],
    "tool_choice": [('auto', 'tool_choice'), ('none', 200), ('sometimes', 'tool_choice'), (1, 'tool_choice'), (None, 200),
        ('required', 'tool_choice'), ({}, 'tool_choice'), ({'type': 'function'}, 'tool_choice'),
        ({'function': {'name': 'f'}}, 'tool_choice'), ([], 'tool_choice')],
    "parallel_tool_calls": [(1, 200), (None, 200), ('x', 'body.parallel_tool_calls'), (True, 200)],
    "functions": [([], 200)],
    "function_call": [('auto', 200)],
    "chat_template": [(1, 'body.chat_template'), (None, 200)],
    "chat_template_kwargs": [([], 'body.chat_template_kwargs'), (None, 200), ({}, 200), ({'messages': []}, None),
        ({'tools': []}, 200), ({'add_generation_prompt': False}, 200), ({'add_generation_prompt': True}, 200),
        ({'continue_final_message': True}, 200), ({'chat_template': None}, 200), ({'tokenize': True}, 200),
        ({'foo': 1}, 200), ({'documents': []}, 200), ({'return_dict': True}, 200), ({'conversation': 1}, None)],
    "documents": [({}, 'body.documents'), (['d'], 'body.documents.0'), (None, 200), ([], 200), ([{'a': 'b'}], 200),
        ([{'a': 1}], 'body.documents.0.a')],
    "add_generation_prompt": [(1, 200), ('x', 'body.add_generation_prompt'), (None, 'body.add_generation_prompt'),
        (False, 200)],
    "continue_final_message": [(1, None), (True, None), ('x', 'body.continue_final_message'),
        (None, 'body.continue_final_message'), (False, 200)],
    "reasoning_effort": [(1, 'body.reasoning_effort'), ('low', 200), ('extreme', 'body.reasoning_effort'), (None, 200),
        ('none', 200), ('', 'body.reasoning_effort')],
    "include_reasoning": [(1, 200), ('x', 'body.include_reasoning'), (None, 'body.include_reasoning'), (False, 200)],
    "modalities": [('text', 200), (['text'], 200)],
    "audio": [({}, 200), (None, 200)],
    "mm_processor_kwargs": [(1, 'body.mm_processor_kwargs'), ({}, 200), ({'a': 1}, 'mm_processor_kwargs'), (None, 200)],
    "media_io_kwargs": [(1, 'body.media_io_kwargs'), ({}, 200), ({'a': 1}, 'body.media_io_kwargs.a'),
        ({'a': {}}, 'media_io_kwargs'), (None, 200)],
    "return_prompt_text": [('x', 'body.return_prompt_text'), (False, 200), (None, 200)],
    "prediction": [({}, 200)],
    "verbosity": [('low', 200)],
    "prompt_embeds": [('x', 200)],
}
TEXT = {
    "prompt": [(None, 'prompt'), (5, 'body.prompt'), ({}, 'body.prompt'), ([], None), ([[]], None),
        (['a', 1], 'body.prompt.0'), ([1, 'a'], 'body.prompt.1'), ([[1], 'a'], 'body.prompt.0'),
        ([[1], [2, -1]], 'body.prompt.0'), ([1, 1.5], 'body.prompt.1'), ([True], 200), ([18446744073709551616], None),
        ([-1], 'body.prompt.0'), ('', 'prompt'), ([''], None), (['a', ''], None), ([1, 2], 200), ([[1], [2]], 200),
        (['a', 'b'], 200), (['1', '2'], 200), ([None], 'body.prompt.0'), ([[], [1]], None), ([1000000], None),
        (True, 'body.prompt'), (1.5, 'body.prompt')],
    "logprobs": [(True, 200), (False, 200), (None, 200), (1, 200), (5, 200), (-1, 'logprobs'), (-2, 'logprobs'),
        (1.5, 'body.logprobs'), ('1', 'logprobs'), ('x', 'logprobs'), (100, 'logprobs'), ([], 'logprobs'), (2.0, 200),
        (0, 200)],
    "suffix": [('s', 'suffix'), ('', 'suffix'), (None, 200), (1, 'body.suffix')],
    "prompt_embeds": [('x', 'prompt_embeds'), (None, 200), ([], 200), (1, 'body.prompt_embeds'), ('AAAA', 'prompt_embeds')],
}

TOOL = [{"type": "function", "function": {"name": "f"}}]
# Several fields at once.
CHAT_SETS = [
    ({"logprobs": True, "top_logprobs": 2}, 200), ({"logprobs": True, "top_logprobs": -2}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": True}, 200), ({"logprobs": True, "top_logprobs": 1.5}, "body.top_logprobs"),
    ({"logprobs": True, "top_logprobs": 25}, "logprobs"), ({"logprobs": True, "top_logprobs": -1}, "logprobs"),
    ({"tools": TOOL, "tool_choice": "none"}, 200), ({"tools": TOOL, "tool_choice": "auto"}, None),
    ({"tools": TOOL, "tool_choice": "required"}, None), ({"tools": TOOL, "tool_choice": "bogus"}, "tool_choice"),
    ({"tools": TOOL, "tool_choice": {"type": "function", "function": {"name": "f"}}}, None),
    ({"tools": TOOL, "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
    ({"tools": TOOL, "tool_choice": {"type": "function"}}, "tool_choice.function"),
    ({"tools": TOOL, "tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
    ({"tools": [1], "tool_choice": "none"}, "body.tools.0"), ({"tools": [], "tool_choice": "none"}, "tools"),
    ({"continue_final_message": True, "add_generation_prompt": True}, None), ({"continue_final_message": True}, None),
    ({"messages": [{"role": "assistant", "content": "ab"}], "continue_final_message": True, "add_generation_prompt": False}, 200),
    ({"messages": []}, None), ({"messages": "hi"}, "body.messages"), ({"messages": {}}, "body.messages"),
]
BOTH_SETS = [
    ({"n": 2}, None), ({"n": 2, "temperature": 1.0, "seed": 1}, 200), ({"stream": True, "prompt_logprobs": 1}, "prompt_logprobs"),
    ({"stream": True, "prompt_logprobs": 0}, 200), ({"stream": True, "stream_options": {}}, 200),
    ({"stream": True, "stream_options": {"include_usage": 1}}, 200), ({"stream": True, "stream_options": {"foo": 1}}, 200),
    ({"stream": True, "stream_options": {"include_usage": "x"}}, "body.stream_options.include_usage"),
    ({"stream": True, "stream_options": 1}, "body.stream_options"), ({"stream": True, "stream_options": []}, "body.stream_options"),
    ({"stream": False, "stream_options": {"include_usage": False}}, "stream_options"), ({"min_tokens": 10}, None),
]
TEXT_SETS = [
    ({"echo": True, "max_tokens": 0}, 200), ({"echo": True, "max_tokens": -1}, "max_tokens"), ({"echo": True, "suffix": "x"}, "suffix"),
]
BODIES = [
    (b"", "body"), (b"  ", "body.2"), (b"[]", "body"), (b'"x"', "body"), (b"5", "body"), (b"null", "body"), (b"true", "body"),
    (b"{", "body.1"), (b'{"prompt":"a","n":1', "body.19"), (b'{"prompt":"a"}{}', "body.14"), (b"{'prompt':'a'}", "body.1"),
    (b'{"prompt":"a",}', "body.14"), (b'{"prompt":"a\nb","max_tokens":1}', "body.12"),
]
ROUTES = [
    ("GET", CHAT_PATH, 405), ("PUT", CHAT_PATH, 405), ("PATCH", TEXT_PATH, 405), ("DELETE", "/v1/models", 405),
    ("POST", "/v1/models", 405), ("POST", "/health", 405), ("POST", "/version", 405), ("GET", "/tokenize", 405),
    ("GET", "/nope", 404), ("POST", "/nope", 404), ("GET", "/v1/nope", 404), ("GET", "/v1", 404), ("GET", "/", 404),
    ("GET", "/v1//models", 404),
]
TOKENIZE = [
    ({}, "body.prompt"), ({"prompt": "hello"}, 200), ({"prompt": 1}, "body.prompt"), ({"prompt": None}, "body.prompt"),
    ({"prompt": ["a"]}, "body.prompt"), ({"messages": USER}, 200), ({"messages": []}, None), ({"prompt": ""}, 200),
    ({"prompt": "a", "messages": USER}, 200), ({"prompt": "a", "add_special_tokens": "no"}, 200),
    ({"prompt": "a", "add_special_tokens": "x"}, "body.add_special_tokens"), ({"messages": USER, "tools": TOOL}, 200),
    ({"prompt": "a", "add_special_tokens": None}, "body.add_special_tokens"), ({"prompt": "a", "model": 1}, "body.model"),
    ({"prompt": "a", "return_token_strs": "x"}, "body.return_token_strs"), ({"messages": USER, "add_generation_prompt": False}, 200),
    ({"messages": USER, "continue_final_message": True, "add_generation_prompt": True}, None),
]
DETOKENIZE = [
    ({}, "body.tokens"), ({"tokens": [1, 2]}, 200), ({"tokens": []}, 200), ({"tokens": [1, "a"]}, "body.tokens.1"),
    ({"tokens": "x"}, "body.tokens"), ({"tokens": [-1]}, "body.tokens.0"), ({"tokens": [1.5]}, "body.tokens.0"),
    ({"tokens": ["5"]}, 200), ({"tokens": [True]}, 200), ({"tokens": None}, "body.tokens"),
]


class Parity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def check(self, path, body, expected):
        status, answer, _ = self.server.post(path, body)
        what = (path, body, answer[:300])
        if expected == 200:
            self.assertEqual(status, 200, what)
            return
        self.assertEqual(status, 400, what)
        error = json.loads(answer)["error"]
        schema = expected is not None and (expected == "body" or expected.startswith("body."))
        self.assertEqual((error["param"], error["type"], error["code"]),
                         (expected, "Bad Request" if schema else "BadRequestError", 400), what)

    def check_fields(self, path, base, fields):
        for field, values in fields.items():
            for value, expected in values:
                with self.subTest(f"{path} {field}={value!r}"):
                    self.check(path, {**base, field: value}, expected)

    def test_fields_of_both(self):
        self.check_fields(CHAT_PATH, CHAT_BASE, BOTH)
        self.check_fields(TEXT_PATH, TEXT_BASE, BOTH)

    def test_fields_of_one(self):
        self.check_fields(CHAT_PATH, CHAT_BASE, CHAT)
        self.check_fields(TEXT_PATH, TEXT_BASE, TEXT)

    def test_fields_together(self):
        for path, base, sets in ((CHAT_PATH, CHAT_BASE, CHAT_SETS + BOTH_SETS), (TEXT_PATH, TEXT_BASE, TEXT_SETS + BOTH_SETS),
                                 ("/tokenize", {}, TOKENIZE), ("/detokenize", {}, DETOKENIZE)):
            for fields, expected in sets:
                with self.subTest(f"{path} {fields}"):
                    self.check(path, {**base, **fields}, expected)
        self.check(CHAT_PATH, {}, "body.messages")
        self.check(TEXT_PATH, {}, "prompt")

    def test_bodies(self):
        for path in (CHAT_PATH, TEXT_PATH, "/tokenize", "/detokenize"):
            for body, expected in BODIES:
                self.check(path, body, expected)
            status, answer, _ = self.server.post(path, b'{"prompt":"\xff"}')
            self.assertEqual((status, json.loads(answer)), (400, {"detail": "There was an error parsing the body"}))
            for media in ("text/plain", "application/x-www-form-urlencoded", "application/vnd.api+json", "multipart/form-data"):
                status, answer, _ = self.server.post(path, b"{}", {"Content-Type": media})
                error = json.loads(answer)["error"]
                self.assertEqual((status, error["type"], error["param"]), (400, "Bad Request", None), media)

    def test_routes_and_models(self):
        for method, path, status in ROUTES:
            got, answer, _ = self.server.request(method, path, None, {})
            detail = {404: "Not Found", 405: "Method Not Allowed"}[status]
            self.assertEqual((got, json.loads(answer)), (status, {"detail": detail}), (method, path))
        for path, base in ((CHAT_PATH, CHAT_BASE), (TEXT_PATH, TEXT_BASE), ("/tokenize", {"prompt": "a"}),
                           ("/detokenize", {"tokens": [1]})):
            status, answer, _ = self.server.post(path, {**base, "model": "nope"})
            error = json.loads(answer)["error"]
            self.assertEqual((status, error["type"], error["param"], error["code"]), (404, "NotFoundError", "model", 404), path)
            self.assertTrue(error["message"].startswith("The model `nope` does not exist."), error)

    def test_shapes(self):
        chat = self.server.json(CHAT_PATH, CHAT_BASE)
        self.assertNotIn("tool_calls", chat["choices"][0]["message"])
        for name in ("token_ids", "stop_reason", "logprobs"):
            self.assertIsNone(chat["choices"][0][name])
        chunks = [json.loads(line[6:]) for line in
                  self.server.post(CHAT_PATH, {**CHAT_BASE, "stream": True})[1].decode().split("\n\n")[:-2]]
        self.assertEqual(set(chunks[0]["choices"][0]), {"index", "delta", "logprobs", "finish_reason"})
        self.assertEqual(set(chunks[1]["choices"][0]), {"index", "delta", "logprobs", "finish_reason", "token_ids"})
        self.assertEqual(set(chunks[-1]["choices"][0]), {"index", "delta", "logprobs", "finish_reason", "stop_reason", "token_ids"})


if __name__ == "__main__":
    unittest.main()
