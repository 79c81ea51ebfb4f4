"""How many bytes of weights a GGUF file makes an engine read per decode step: its tensors, without the table of an
untied embedding."""
import struct

# gguf_metadata_value_type -> bytes; strings (8) and arrays (9) are walked
SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


def _number(file, kind):
    return struct.unpack("<" + kind, file.read(struct.calcsize(kind)))[0]


def _skip(file, kind):
    if kind == STRING:
        file.seek(_number(file, "Q"), 1)
    elif kind == ARRAY:
        inner, count = _number(file, "I"), _number(file, "Q")
        if inner in SCALARS:
            file.seek(SCALARS[inner] * count, 1)
        else:
            for _ in range(count):
                _skip(file, inner)
    else:
        file.seek(SCALARS[kind], 1)


def bytes_per_step(path):
    with open(path, "rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError(f"{path} is no GGUF file")
        _number(file, "I")
        num_tensors, num_items = _number(file, "Q"), _number(file, "Q")
        for _ in range(num_items):
            file.seek(_number(file, "Q"), 1)
            _skip(file, _number(file, "I"))
        begins = {}
        for _ in range(num_tensors):
            name = file.read(_number(file, "Q")).decode()
            file.seek(8 * _number(file, "I") + 4, 1)
            begins[name] = _number(file, "Q")
        data = -(-file.tell() // 32) * 32
        end = file.seek(0, 2) - data
    ordered = sorted(begins.values()) + [end]
    sizes = {name: next(other for other in ordered if other > begin) - begin for name, begin in begins.items()}
    return float(sum(sizes.values()) - (sizes["token_embd.weight"] if "output.weight" in sizes else 0))
