"""A tokenizer for models with random weights, the same for every engine: 6,400 words of four letters (WORDS), one token
each, over a SentencePiece-style byte vocabulary. A prompt of n words has n tokens and a BOS. The ids above are words of
their own ("x12345"), so that whatever a random model says has text.
"""
CONSONANTS, VOWELS = "bcdfghjklmnprstv", "aeiou"
SYLLABLES = [c + v for c in CONSONANTS for v in VOWELS]
WORDS = [a + b for a in SYLLABLES for b in SYLLABLES]
SPACE = "\u2581"
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # llama_token_type of GGUF


def _chains():
    """A piece is reached by merging, so every beginning of a word is a token too: (left, right) of each merge."""
    yield from ((SPACE, c) for c in CONSONANTS)
    yield from ((SPACE + s[0], s[1]) for s in SYLLABLES)
    yield from ((SPACE + s, c) for s in SYLLABLES for c in CONSONANTS)
    yield from ((SPACE + w[:3], w[3]) for w in WORDS)


def vocabulary(size):
    """[(token, type)] by id. What merges first has the lower id."""
    tokens = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    tokens += [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    tokens += [(piece, NORMAL) for piece in [SPACE, *CONSONANTS, *VOWELS]]
    tokens += [(left + right, NORMAL) for left, right in _chains()]
    if len(tokens) > size:
        raise ValueError(f"a vocabulary of {size} is too small: at least {len(tokens)} tokens are needed")
    return tokens + [(f"{SPACE}x{i}", NORMAL) for i in range(len(tokens), size)]


def tokenizer_json(size):
    """The same as an object for tokenizer.json."""
    names = [name for name, _ in vocabulary(size)]
    special = [{"id": i, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": True,
                "special": True} for i, name in enumerate(names[:3])]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": SPACE},
            {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": "<s>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True,
            "vocab": {name: i for i, name in enumerate(names)},
            "merges": [f"{left} {right}" for left, right in _chains()]}}
