"""Tokenizers that are well-formed and mean harm: regular expressions that never end, normalisers that never stop growing."""

import json
import os

from campaign import Campaign

ATOMS = ["a", "\\w", ".", "\\s", "[a-z]", "\\p{L}", "\\d", "(?:a|a)", "(?:a|ab)", "(a)", "\\1", "\\b", "^", "$", "(?=a)",
         "(?<=a)", "(?!b)", "[^b]", "(?i:A)", "\\X", "\\R"]
REPEATS = ["*", "+", "?", "{2,}", "{0,1000}", "{1,2147483647}", "*+", "+?", "{1000}", "{1000,2000}"]
KNOWN = ["(a+)+b", "(a*)*b", "(a|a)*b", "(a|aa)+$", "(.*a){20}b", "(?:a?){30}a{30}", "([a-z]+)*\\d", "(.+)+\\1x",
         "((a{1,100}){1,100}){1,100}b", "(?=(a+))\\1b", "", "(", "[", "(?P<", "a{99999999999}", "\\"]


class Patterns(Campaign):
    name = "patterns"
    share = 1

    def case(self, number, chance, folder):
        tokenizer = json.loads((self.inputs.student / "tokenizer.json").read_text())
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        if number < len(KNOWN) or chance.random() < 0.6:
            pattern = KNOWN[number] if number < len(KNOWN) else self.pattern(chance, 0)
            subject = f"regular expression {pattern[:60]}"
            split = {"type": "Split", "pattern": {"Regex": pattern}, "invert": chance.random() < 0.3}
            split["behavior"] = "Removed" if split["invert"] else "Isolated"
            tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, byte_level]}
        else:
            steps = [self.normalizer(chance) for _ in range(chance.choice([1, 2, 4, 16, 64]))]
            subject = f"{len(steps)} normalisers"
            tokenizer["normalizer"] = {"type": "Sequence", "normalizers": steps}
        model = folder / "model"
        model.mkdir()
        for path in self.inputs.student.iterdir():
            if path.name != "tokenizer.json":
                os.symlink(path, model / path.name)
        (model / "tokenizer.json").write_text(json.dumps(tokenizer))
        unit = chance.choice(["a", "a", "ab", "a b", "\n", "aé", "e\u0301"])
        (folder / "text.txt").write_text(unit * chance.choice([30, 40, 1000, 100_000]) + chance.choice(["", "!", "b"]))
        _, found = self.judge(["debug-tokens", "model", "--data", "text.txt"], folder, subject)
        return found

    def pattern(self, chance, depth):
        parts = []
        for _ in range(chance.choice([1, 2, 3])):
            if depth < 4 and chance.random() < 0.5:
                inner = self.pattern(chance, depth + 1)
                part = chance.choice(["({})", "(?:{})", "({}|a)", "(?={})", "(?>{})"]).replace("{}", inner)
            else:
                part = chance.choice(ATOMS)
            parts.append(part + (chance.choice(REPEATS) if chance.random() < 0.6 else ""))
        return "".join(parts)

    @staticmethod
    def normalizer(chance):
        kind = chance.randrange(4)
        if kind == 0:
            return {"type": "Prepend", "prepend": "a" * chance.choice([1, 1000, 100_000])}
        if kind == 1:
            return {"type": "NFC"}
        small = chance.choice(["a", "b", "ab", " ", "é"])
        content = small * chance.choice([0, 2, 10, 1000]) if kind == 2 else chance.choice(["", "a", "aa", "b" * 100])
        return {"type": "Replace", "pattern": {"String": small}, "content": content}
