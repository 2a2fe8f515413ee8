"""Ways to damage bytes. Each takes a source of chance and the bytes, and returns others."""

import json
import re
import struct

INTEGERS = [0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 1 << 20, 1 << 24, (1 << 31) - 1,
            1 << 31, (1 << 32) - 1, 1 << 32, 1 << 40, 1 << 53, (1 << 60) + 1, (1 << 62) - 1, 1 << 62, (1 << 63) - 1,
            1 << 63, (1 << 64) - 1, (1 << 64) - 8]
NUMBERS = ["0", "-0", "-1", "1", "2", "3", "0.5", "1e308", "-1e308", "1e309", "1e-320", "2147483647", "2147483648",
           "-2147483649", "4294967296", "9007199254740993", "9223372036854775807", "9223372036854775808",
           "-9223372036854775808", "18446744073709551615", "18446744073709551616", "9.3e18", "1e19", "1" + "0" * 400,
           "NaN", "Infinity", "-Infinity", "0x10", "01", "1.", ".5", "1e", "+1"]
VALUES = [None, True, False, 0, -1, 1, 1 << 31, 1 << 53, (1 << 63) - 1, -(1 << 63), 1 << 64, 1e300, -1e300, 0.5, "", "a",
          "\0", "\u001b[2J", "é", "\U0001F600" * 3, "ab" * 40, [], {}, [[]], [0], [""], {"": ""}, [None] * 40,
          {"a": {"b": {}}}]


def position(chance, length):
    """Anywhere, but often near an end, where headers and footers are."""
    if length == 0:
        return 0
    where = chance.random()
    if where < 0.3:
        return min(length - 1, int(chance.expovariate(1 / 64)))
    if where < 0.45:
        return max(0, length - 1 - int(chance.expovariate(1 / 64)))
    return chance.randrange(length)


def span(chance, length):
    begin = position(chance, length)
    return begin, min(length, begin + 1 + int(chance.expovariate(1 / chance.choice([2, 16, 300, 5000]))))


# MARK: Blind


def flip(chance, data):
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 8, 64])):
        if data:
            data[position(chance, len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def overwrite(chance, data):
    begin, end = span(chance, len(data))
    filling = chance.choice([b"\0", b"\xff", b"\x7f", b"A", bytes([chance.randrange(256)]), None])
    new = bytes(chance.randrange(256) for _ in range(end - begin)) if filling is None else filling * (end - begin)
    return data[:begin] + new + data[end:]


def truncate(chance, data):
    return data[:position(chance, len(data))]


def extend(chance, data):
    return data + chance.choice([b"\0", b"\xff", b"{}", data[-64:]]) * chance.choice([1, 2, 8, 1000])


def duplicate(chance, data):
    begin, end = span(chance, len(data))
    return data[:end] + data[begin:end] * chance.choice([1, 1, 2, 30]) + data[end:]


def delete(chance, data):
    begin, end = span(chance, len(data))
    return data[:begin] + data[end:]


def insert(chance, data):
    begin = position(chance, len(data))
    count = chance.choice([1, 1, 2, 8, 200])
    return data[:begin] + bytes(chance.randrange(256) for _ in range(count)) + data[begin:]


def swap(chance, data):
    (a, b), (c, d) = sorted([span(chance, len(data)), span(chance, len(data))])
    c = max(b, c)
    d = max(c, d)
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def integer(chance, data):
    """Writes a number that breaks arithmetic over a little-endian field."""
    width = chance.choice([1, 2, 4, 4, 8, 8])
    if len(data) < width:
        return data
    begin = min(position(chance, len(data)), len(data) - width)
    if chance.random() < 0.7:
        begin -= begin % width
    value = chance.choice(INTEGERS)
    if chance.random() < 0.3:
        old = int.from_bytes(data[begin:begin + width], "little")
        value = old + chance.choice([-8, -1, 1, 8]) if chance.random() < 0.6 else old * chance.choice([2, 3, 1000])
    return data[:begin] + (value & ((1 << 8 * width) - 1)).to_bytes(width, "little") + data[begin + width:]


BLIND = [flip, flip, overwrite, truncate, extend, duplicate, delete, insert, swap, integer, integer]


# MARK: Text


def number(chance, data):
    """Replaces one number of a text."""
    places = list(re.finditer(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?", data[:200_000]))
    if not places:
        return flip(chance, data)
    place = chance.choice(places)
    return data[:place.start()] + chance.choice(NUMBERS).encode() + data[place.end():]


def line(chance, data):
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    what = chance.randrange(7)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines[at:at] = [lines[at]] * chance.choice([1, 2, 1000])
    elif what == 2:
        other = chance.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif what == 3:
        lines[at] = b" " * chance.choice([1, 2, 7]) + lines[at]
    elif what == 4:
        lines[at] = lines[at].lstrip()
    elif what == 5:
        lines[at] = lines[at][:chance.randrange(len(lines[at]) + 1)]
    else:
        lines[at] = lines[at] * chance.choice([2, 3, 100])
    return b"\n".join(lines)


def encoding(chance, data):
    begin = position(chance, len(data))
    odd = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80", b"\0", b"\xef\xbb\xbf", b"\r", b"\x1b[2J",
           b"\\ud800", b"\\u0000", b"\\", b"\"", b"'", b"{", b"}", b"[", b"]", b":", b",", b"\t", b"&a *a", b"!!binary "]
    return data[:begin] + chance.choice(odd) + data[begin:]


def nesting(chance, data):
    begin = position(chance, len(data))
    opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"), (b"- ", b""), (b"{% if 1 %}", b"")])
    depth = chance.choice([10, 600, 20_000, 300_000])
    return data[:begin] + opening * depth + (closing * depth if chance.random() < 0.5 else b"") + data[begin:]


TEXT = BLIND + [number, number, number, line, line, line, encoding, encoding, nesting]


# MARK: JSON


def nodes(value, path=()):
    """The paths of all values within `value`, itself included."""
    found = [path]
    if isinstance(value, dict):
        for key in value:
            found += nodes(value[key], path + (key,))
    elif isinstance(value, list):
        for index in range(min(len(value), 50)):
            found += nodes(value[index], path + (index,))
    return found


def hostile(chance):
    if chance.random() < 0.06:
        deep = chance.choice([50, 400, 900])
        value = 0
        for _ in range(deep):
            value = [value] if chance.random() < 0.5 else {"a": value}
        return value
    if chance.random() < 0.04:
        return "x" * chance.choice([10_000, 1_000_000])
    if chance.random() < 0.04:
        return list(range(chance.choice([1000, 60_000])))
    return chance.choice(VALUES)


def change(chance, root):
    """Changes one value, key or element within a JSON value; returns the new root."""
    paths = nodes(root)
    path = chance.choice(paths)
    if not path:
        return hostile(chance) if chance.random() < 0.3 else root
    parent = root
    for step in path[:-1]:
        parent = parent[step]
    last, what = path[-1], chance.randrange(10)
    if what < 5:
        old = parent[last]
        if isinstance(old, bool) or not isinstance(old, (int, float)) or chance.random() < 0.5:
            parent[last] = hostile(chance)
        else:
            parent[last] = chance.choice([0, -old, old + 1, old - 1, old * 2, 3 * old + 1, chance.choice(INTEGERS), 1e30])
    elif what == 5:
        del parent[last]
    elif what == 6 and isinstance(parent, dict):
        parent[chance.choice([str(last) + "x", "", "type", "model", str(last).upper()])] = parent.pop(last)
    elif what == 7 and isinstance(parent, list):
        parent[last:last] = [parent[last]] * chance.choice([1, 2, 500])
    else:
        other = root
        for step in chance.choice(paths):
            other = other[step]
        # Copied by way of text, so that nothing comes to hold itself.
        parent[last] = json.loads(json.dumps(other))
    return root


def changed_json(chance, data):
    """Damages the meaning of a JSON text, mostly leaving it JSON."""
    try:
        root = json.loads(data)
    except (ValueError, RecursionError):
        return chance.choice(TEXT)(chance, data)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        root = change(chance, root)
    return json.dumps(root, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


JSON = TEXT + [changed_json] * 24


# MARK: Files with a structure of their own


def safetensors(chance, data):
    """Damages the header's meaning, with a length that is right for it."""
    if len(data) < 8:
        return flip(chance, data)
    size = struct.unpack("<Q", data[:8])[0]
    header = changed_json(chance, data[8:8 + size]) if chance.random() < 0.8 else number(chance, data[8:8 + size])
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data[8 + size:]


SAFETENSORS = BLIND + [safetensors] * 12


def apply(chance, mutators, data):
    """One damage, now and then several."""
    for _ in range(chance.choice([1, 1, 1, 1, 2, 3])):
        try:
            data = chance.choice(mutators)(chance, data)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError):
            data = flip(chance, data)  # What a damage before has left is not what this one damages.
    return data
