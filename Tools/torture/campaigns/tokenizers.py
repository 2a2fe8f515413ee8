"""Damaged tokenizers and chat templates."""

import json
import shutil

import mutations
from inputs import TEMPLATES, TESTS
from mutation import MutationCampaign, Subject

TEXT = "The fox doesn't jump over 12345 lazy dogs… ça va? 你好 ☃\n\n  <|eot_id|> fin\u0301."


class Tokenizers(MutationCampaign):
    name = "tokenizers"
    share = 3

    def subjects(self):
        inputs = self.inputs
        (inputs.folder / "words.txt").write_text(TEXT)
        tokens = ["debug-tokens", "input", "--data", inputs.folder / "words.txt"]
        generate = ["generate", "input", "--prompt", TEXT, "--max-tokens", 2]
        chat = ["chat", "input", "--seed", 0, "--max-tokens", 2]
        turns = b"Hello\nAnd then?\n"
        found = [
            Subject("tokenizer.json, generate", inputs.student, "tokenizer.json", generate, mutations.JSON),
            Subject("tokenizer_config.json", inputs.student, "tokenizer_config.json", chat, mutations.JSON, turns,
                    weight=2, one_line=False),
        ]
        for fixture in ["llama2", "llama3", "qwen2"]:
            found.append(Subject(f"tokenizer.json, {fixture}", self._model(fixture), "tokenizer.json", tokens,
                                 mutations.JSON + [parts] * 40, weight=3))
        for path in sorted(TEMPLATES.glob("*.jinja")):
            found.append(Subject(f"template, {path.stem}", self._model(f"template-{path.stem}", path), "chat_template.jinja", chat,
                                 mutations.TEXT, turns, weight=1, one_line=False))
        return found

    def _model(self, fixture, template=None):
        """A student with a fixture's tokenizer, or with a template in a file of its own."""
        target = self.inputs.folder / f"with-{fixture}"
        shutil.copytree(self.inputs.student, target)
        if template:
            configuration = json.loads((target / "tokenizer_config.json").read_text())
            configuration.pop("chat_template", None)
            (target / "tokenizer_config.json").write_text(json.dumps(configuration))
            (target / "chat_template.jinja").write_text(template.read_text())
        else:
            for file in ["tokenizer.json", "tokenizer_config.json"]:
                shutil.copyfile(TESTS / "TokenizersTests" / "Fixtures" / fixture / file, target / file)
        return target


def parts(chance, data):
    """Changes a tokenizer's small parts: everything but the vocabulary."""
    try:
        root = json.loads(data)
        model = root["model"]
        vocabulary, merges = model.pop("vocab"), model.pop("merges")
    except (ValueError, KeyError, TypeError, AttributeError):
        return mutations.flip(chance, data)
    root = mutations.change(chance, root)
    if isinstance(root, dict) and isinstance(root.get("model"), dict):
        if chance.random() < 0.2:
            vocabulary[chance.choice(list(vocabulary))] = chance.choice(mutations.VALUES)
        if chance.random() < 0.2:
            merges[chance.randrange(len(merges))] = chance.choice(mutations.VALUES)
        root["model"].setdefault("vocab", vocabulary)
        root["model"].setdefault("merges", merges)
    return json.dumps(root).encode()
