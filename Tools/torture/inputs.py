"""What the campaigns start from: tiny models, states, texts, runs. Made once by the program itself."""

import array
import json
import math
import random
import shutil
import struct
from pathlib import Path

import gguf

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "Tests"
TEMPLATES = ROOT / "Tools" / "fixtures" / "templates"

SETTINGS = """\
length: 16
checkpoints: {{every: 5, keep: 2}}
validation: {{every: 10, rows: 4}}
stages:
  - {{stage: align, tokens: {tokens}, sequences: 1, accumulation: 2, warm_up_steps: 5}}
  - {{stage: distil, tokens: {tokens}, sequences: 1, accumulation: 2, warm_up_steps: 5}}
  - {{stage: finetune, tokens: {tokens}, sequences: 1, accumulation: 2, warm_up_steps: 5}}
"""

QUESTIONS = {
    "lambada_openai.jsonl": ["context", {"continuation": "sea"}],
    "piqa_val.jsonl": ["Question: why?\nAnswer:", {"choices": [" one", " the other"], "gold": 1}],
    "arc_easy_val.jsonl": ["Question: what?\nAnswer:", {"choices": [" a", " b", " c"], "gold": 0}],
    "openbookqa_val.jsonl": ["The sun is", {"choices": [" hot", " cold"], "gold": 0}],
}


class Inputs:
    """Files in `folder`; every attribute is a path."""

    def __init__(self, folder, programs):
        self.folder, self.programs = folder, programs
        folder.mkdir(parents=True, exist_ok=True)
        self.teacher = self._model("teacher", TESTS / "TrainingTests" / "Fixtures" / "teacher", "llama3.jinja")
        self.plain_teacher = TESTS / "TrainingTests" / "Fixtures" / "teacher"
        self.sharded = TESTS / "CheckpointsTests" / "Fixtures" / "llama"
        self.data = TESTS / "TextTests" / "Fixtures"
        self.text = self._write(
            "text.txt", "".join(f"The fox {i * i % 97} jumps over the dog.\n" for i in range(400)))
        self.validation = self._write("validation.txt", "".join(f"The fox {i * i % 89} jumps over the dog.\n" for i in range(40)))
        self.documents = self._write(
            "documents.jsonl", "".join(json.dumps({"text": f"Document {i} of the fox: é ☃ {i * i}.", "id": i}) + "\n"
                                       for i in range(60)))
        self.prompts = self._write(
            "prompts.jsonl", "".join(json.dumps({"prompt": f"The fox {i}"}) + "\n" for i in range(3)))
        self.token_lists = self._write("tokens.json", "[[1, 2, 3], [4, 5, 6]]")
        self.settings = self._write("run.yaml", SETTINGS.format(tokens=160))
        self.student = folder / "student"
        self.must("convert", self.teacher, "--output", self.student, "--slots", 4, "--window", 4)
        self.hybrid = folder / "hybrid"
        self.must("convert", self.teacher, "--output", self.hybrid, "--slots", 4, "--window", 4, "--keep-attention", 1)
        # Widths that quantisation can round: multiples of 32.
        self.wide = folder / "wide"
        self._wide(self.wide)
        self.rounded = folder / "rounded"
        self.must("quantize", self.wide, "--output", self.rounded, "--bits", 4)
        self.gguf = folder / "model.gguf"
        self.gguf_integers = gguf.write(self.teacher, self.gguf, (TEMPLATES / "smollm2.jinja").read_text())
        self.questions = folder / "questions"
        self.questions.mkdir()
        for file, (context, rest) in QUESTIONS.items():
            lines = [json.dumps({"context": f"{context} {i}", **rest}) for i in range(3)]
            (self.questions / file).write_text("\n".join(lines) + "\n")
        (self.questions / "filler.txt").write_text("Much is said of foxes and little of it is true. " * 40)
        self.state = folder / "saved.moult-state"
        self.must("generate", self.student, "--prompt", "The fox jumps over the dog", "--max-tokens", 4, "--save-state",
                  self.state)
        self.hybrid_state = folder / "hybrid.moult-state"
        self.must("generate", self.hybrid, "--prompt", "The fox jumps", "--max-tokens", 4, "--save-state",
                  self.hybrid_state)
        self.conversation = folder / "chat.moult-state"
        self.must("chat", self.student, "--seed", 0, "--max-tokens", 4, text=f"Hello\nAnd then?\n/save {self.conversation}\n".encode())

    def must(self, *arguments, text=b"", folder=None):
        outcome = self.programs.run(arguments, folder or self.folder, text=text, limit=120)
        if outcome.code != 0:
            raise SystemExit(f"moult {' '.join(map(str, arguments))}: {outcome.last_words()}")
        return outcome

    def train(self, output, folder=None, settings=None, extra=()):
        """The arguments of a short run."""
        return ["train", self.student, "--teacher", self.teacher, "--data", self.text, "--validation", self.validation,
                "--config", settings or self.settings, "--output", output, *extra]

    def _write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def _model(self, name, source, template):
        """A copy of a fixture, with a chat template."""
        target = self.folder / name
        shutil.copytree(source, target)
        path = target / "tokenizer_config.json"
        configuration = json.loads(path.read_text())
        configuration["chat_template"] = (TEMPLATES / template).read_text()
        path.write_text(json.dumps(configuration))
        return target

    def _wide(self, target):
        """A Llama of one layer whose widths are multiples of 32, with weights by chance."""
        shutil.copytree(self.teacher, target)
        path = target / "config.json"
        configuration = json.loads(path.read_text())
        configuration.update(hidden_size=32, intermediate_size=64, head_dim=32, num_hidden_layers=1)
        path.write_text(json.dumps(configuration))
        layer = "model.layers.0."
        shapes = {"model.embed_tokens": (2003, 32), "model.norm": (32,), layer + "input_layernorm": (32,),
                  layer + "post_attention_layernorm": (32,), layer + "self_attn.q_proj": (64, 32),
                  layer + "self_attn.k_proj": (32, 32), layer + "self_attn.v_proj": (32, 32),
                  layer + "self_attn.o_proj": (32, 64), layer + "mlp.gate_proj": (64, 32),
                  layer + "mlp.up_proj": (64, 32), layer + "mlp.down_proj": (32, 64)}
        chance, header, data = random.Random(1), {}, bytearray()
        for name, shape in shapes.items():
            begin = len(data)
            data += array.array("f", [chance.gauss(0, 0.2) for _ in range(math.prod(shape))]).tobytes()
            header[name + ".weight"] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        (target / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
