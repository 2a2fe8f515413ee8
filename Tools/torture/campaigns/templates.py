"""Chat templates that are well-formed and mean harm: megabytes of text in loops within loops."""

import json
import os

from campaign import Campaign
from jinja import ATOMS, FILTERS, GROWTH, METHODS, OPERATORS, TESTS, Generator

# Each expression over a large text or list in a loop that never looks at it otherwise: first what is known to be dear.
ALONE = ([f"(big | {name})" for name in FILTERS] + [f"(list | {name})" for name in FILTERS]
         + [f"big.{name}" for name in METHODS] + [f"(big is {name})" for name in TESTS]
         + [f"(big {name} big)" for name in OPERATORS] + [f"(list {name} list)" for name in OPERATORS]
         + [f"('ab' {name} big)" for name in ["in", "not in", "<", "=="]] + ATOMS)


class Templates(Campaign):
    name = "templates"
    share = 2

    def case(self, number, chance, folder):
        if number < len(ALONE) * 2:
            growth = GROWTH[number % 2].replace("COUNT", "20")
            use = f"{{% set x = {ALONE[number // 2]} %}}"
            template = growth + f"{{% for i in range(100000) %}}{use}{{% endfor %}}"
            subject = ALONE[number // 2]
        else:
            template, subject = Generator(chance).template(), "by chance"
        model = folder / "model"
        model.mkdir()
        for path in self.inputs.student.iterdir():
            if path.name != "tokenizer_config.json":
                os.symlink(path, model / path.name)
        configuration = json.loads((self.inputs.student / "tokenizer_config.json").read_text())
        configuration["chat_template"] = template
        (model / "tokenizer_config.json").write_text(json.dumps(configuration))
        words = chance.choice(["Hello", "a " * 1000, "é" * 20_000])
        _, found = self.judge(["chat", "model", "--seed", 0, "--max-tokens", 1], folder, subject, text=words.encode() + b"\n",
                              one_line=False)
        return found
