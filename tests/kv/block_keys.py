#!/usr/bin/env python3
"""Keys of blocks as docs/guide/kv-events.md describes them, version 1, from Python's hashlib: the table of prefix_cache_test.cc."""
import hashlib
import struct

TOKENS = [[1, 23, 24, 255], [256, 65535, 65536, 128000], [1, 2, 3, 4]]
SALT = bytes(range(16))


def head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    code, size = next((c, s) for c, s in ((24, 1), (25, 2), (26, 4), (27, 8)) if number < 1 << 8 * s)
    return bytes([major << 5 | code]) + number.to_bytes(size, "big")


def cbor(value):
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    return head(4, len(value)) + b"".join(map(cbor, value))


def sha256(data):
    return hashlib.sha256(data).digest()


def key_sha256(parent, tokens, begin, lora, salt, extra):
    data = parent + struct.pack("<4i", *tokens)
    if begin == 0:
        data += struct.pack("<I", lora) + salt
    if extra:
        data += b"\xff" * 4 + b"".join(struct.pack("<i", offset) + key for key, offset in extra)
    return sha256(data)


def key_sha256_cbor(parent, tokens, begin, lora, salt, extra):
    keys = [lora, salt] if begin == 0 and (lora or any(salt)) else []
    keys += [["mm", key, offset] for key, offset in extra]
    return sha256(cbor([parent, tokens, keys or None]))


def table():
    image, other = sha256(b"image"), sha256(b"other")
    images = [[(image, 2)], [(image, -2), (other, 3)], []]
    for key_of in (key_sha256, key_sha256_cbor):
        for name, lora, salt, extra in (("plain", 0, bytes(16), [[]] * 3), ("scope", 7, SALT, [[]] * 3),
                                        ("images", 7, SALT, images)):
            keys, parent = [], sha256(cbor("0"))
            for i in range(3):
                parent = key_of(parent, TOKENS[i], 4 * i, lora, salt, extra[i])
                keys.append(parent.hex())
            yield f"{key_of.__name__} {name}", keys


if __name__ == "__main__":
    for name, keys in table():
        print(name, *keys, sep="\n    ")
