"""Writes tokenizer_cases.json: small tokenizers of many kinds, and what the `tokenizers` library makes of texts.

Run: pip install tokenizers==0.23.3 && python make_tokenizer_cases.py
"""
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TRAINING = [
    "The server reads the request, renders the template and encodes the text into tokens.",
    "Tokens are what the model reads and writes; there is no token for the end of a thought.",
    "It's the user's text, isn't it? They'll say we've done it: 12345 tokens, 3.14 seconds, 2024.",
    "the theory of the thing   that   thinks; hello world, hello there, hello again!",
    "Größe, naïve café, señor, ñandú, Ελλάδα, привет, 日本語 and 中文, 한국어.",
]

WORDS = (
    "the of and Hello hello world don't I'll WE'VE it's 'S \u017f '\u017f 12345 3.14 0 \u00b2 \u00bd \u2167 "
    "\u0661\u0662 caf\u00e9 e\u0301 \u0301\u0323 a\u0323\u0307 Gr\u00f6\u00dfe \u043f\u0440\u0438\u0432\u0435\u0442 "
    "\u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 \u1112\u1161\u11ab \U0001f642 \u00a0 \u3000 \u200b \u180e \u0085 \x00 \x7f "
    "\t \n \r\n \n\n ... !!! == () [] <s> </s> <unk> <|user|> <think> Aworld # _ a_b \u2581 \u0120 <0x0A> \ufb01 "
    "\u212b \uac00\u11a8 \ufffd"
).split(" ")

GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
P, N, D = pre_tokenizers, normalizers, decoders


def bytes_only(use_regex=False, prefix=False):
    return P.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def sentencepiece_decoder(strip=True):
    steps = [D.Replace("\u2581", " "), D.ByteFallback(), D.Fuse()]
    return D.Sequence(steps + ([D.Strip(" ", 1, 0)] if strip else []))


TEMPLATE = processors.TemplateProcessing("<s> $A </s>", "<s> $A $B </s>", [("<s>", 1), ("</s>", 2)])

KINDS = {
    "gpt2": dict(pre=bytes_only(True), dec=D.ByteLevel()),
    "gpt4": dict(norm=N.NFC(), pre=P.Sequence([P.Split(Regex(GPT4), "isolated"), bytes_only()]), dec=D.ByteLevel(),
                 ignore_merges=True, post=processors.Sequence([processors.ByteLevel(), TEMPLATE])),
    "o200k": dict(pre=P.Sequence([P.Split(Regex(O200K), "removed", invert=True), bytes_only()]), dec=D.ByteLevel()),
    "falcon": dict(pre=P.Sequence([P.Punctuation("contiguous"), bytes_only(True), P.Digits(False),
                                   P.Split(Regex("[0-9][0-9][0-9]"), "isolated")]), dec=D.ByteLevel()),
    "lines": dict(pre=P.Sequence([P.Split(Regex("[\r\n]"), "isolated"), P.Split(Regex(r"\s?\p{L}+"), "isolated"),
                                  P.Digits(True), P.Split(Regex(r"\s+$"), "isolated"), bytes_only()]),
                  dec=D.ByteLevel()),
    "prefix_space": dict(norm=N.NFD(), pre=bytes_only(True, True), dec=D.ByteLevel(), post=TEMPLATE,
                         added=[AddedToken("  ", normalized=False), AddedToken("   ", normalized=False),
                                AddedToken("world", single_word=True, lstrip=True, rstrip=True)]),
    "merged": dict(norm=N.NFKD(), pre=P.Sequence([P.Punctuation("merged_with_next"),
                                                 P.Split("e", "merged_with_previous"), bytes_only()]), dec=D.ByteLevel()),
    "inverted": dict(pre=P.Sequence([P.Split(Regex(r"[\p{L}\w]+"), "contiguous", invert=True), bytes_only(True)]),
                     dec=D.ByteLevel()),
    "prepend": dict(norm=N.Sequence([N.Prepend("\u2581"), N.Replace(" ", "\u2581")]), dec=sentencepiece_decoder(),
                    byte_fallback=True, fuse_unk=True, post=TEMPLATE,
                    added=[AddedToken("<|user|>", rstrip=True, special=True, normalized=False),
                           AddedToken("hello", single_word=True, normalized=False),
                           AddedToken("<think>", lstrip=True, normalized=False)]),
    "metaspace_first": dict(norm=N.NFKC(), pre=P.Metaspace(prepend_scheme="first", split=False),
                            dec=sentencepiece_decoder(), byte_fallback=True, fuse_unk=True),
    "metaspace_split": dict(pre=P.Metaspace(), dec=D.Metaspace(), fuse_unk=True),
    "metaspace_never": dict(pre=P.Metaspace(prepend_scheme="never"), dec=D.Metaspace(prepend_scheme="never")),
    "gemma": dict(norm=N.Replace(" ", "\u2581"), pre=P.Split(" ", "merged_with_previous"),
                  dec=sentencepiece_decoder(False), byte_fallback=True, fuse_unk=True),
    "words": dict(norm=N.Replace(Regex(r"\s{2,}"), " "), pre=P.Sequence([P.WhitespaceSplit(), P.Punctuation()]),
                  dec=D.Sequence([D.Strip("_", 1, 0), D.Fuse()])),
}


def build(kind):
    byte_fallback = kind.get("byte_fallback", False)
    byte_level = "ByteLevel" in str(kind["dec"])
    model = models.BPE(unk_token=None if byte_level else "<unk>", byte_fallback=byte_fallback,
                       fuse_unk=kind.get("fuse_unk", False), ignore_merges=kind.get("ignore_merges", False))
    tokenizer = Tokenizer(model)
    if "norm" in kind:
        tokenizer.normalizer = kind["norm"]
    if "pre" in kind:
        tokenizer.pre_tokenizer = kind["pre"]
    tokenizer.decoder = kind["dec"]
    if "post" in kind:
        tokenizer.post_processor = kind["post"]
    specials = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % byte for byte in range(256 if byte_fallback else 0)]
    trainer = trainers.BpeTrainer(vocab_size=len(specials) + (256 if byte_level else 40) + 90, special_tokens=specials,
                                  initial_alphabet=P.ByteLevel.alphabet() if byte_level else [], show_progress=False,
                                  limit_alphabet=300 if byte_level else 45)
    tokenizer.train_from_iterator(TRAINING, trainer)
    tree = json.loads(tokenizer.to_str())
    tree["added_tokens"] = [token for token in tree["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(tree))
    for token in kind.get("added", []):
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    return tokenizer


def random_text(rng):
    text = ""
    for _ in range(rng.randint(0, 9)):
        text += rng.choice(WORDS) if rng.random() < 0.65 else rng.choice([" ", " ", "  ", "   ", "\n"])
    return text


def main():
    rng = random.Random(1)
    out = []
    for name, kind in KINDS.items():
        tokenizer = build(kind)
        cases = []
        for _ in range(45):
            text, add, parse = random_text(rng), rng.random() < 0.3, rng.random() < 0.7
            tokenizer.encode_special_tokens = not parse
            ids = tokenizer.encode(text, add_special_tokens=add).ids
            cases.append({"text": text, "add_special_tokens": add, "parse_special": parse, "ids": ids,
                          "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                          "decoded_skip_special": tokenizer.decode(ids, skip_special_tokens=True)})
        out.append({"name": name, "tokenizer": json.loads(tokenizer.to_str()), "cases": cases})
    lines = ",\n".join(json.dumps(group, separators=(",", ":")) for group in out)
    pathlib.Path(__file__).with_name("tokenizer_cases.json").write_text("[\n" + lines + "\n]\n")


main()
