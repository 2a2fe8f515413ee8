"""Compares chat templates as Moult renders them with what transformers renders, to the last byte.

    pip install transformers==5.24.0 jinja2==3.1.6
    python Tools/oracles/chat_templates.py TEMPLATE...

TEMPLATE is a .jinja file, a tokenizer_config.json, a .gguf file (pip install gguf), or a folder of them. Every template is
rendered with conversations with and without a system message, of several turns, with tools, calls and their answers,
documents, content in parts, and reasoning; each with and without the beginning of an answer, and with thinking switched on, off
and left to the template. A conversation that one refuses must be refused by the other. A template beside which a .json file of
its name stands is also rendered with the variables there.
"""

import copy
import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

from moult import EXECUTABLE


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments, identity=None):
    function = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return function | ({"id": identity} if identity else {})


SYSTEM = {"role": "system", "content": " Be brief; it's \"important\".\n"}
TOOLS = [
    {"type": "function", "function": {
        "name": "weather", "description": "It's the \"weather\" <of> a città & more.\nTwo lines.",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "The city"},
            "days": {"type": "integer", "enum": [1, 2, 3], "default": 1},
            "units": {"type": ["string", "null"], "items": {"type": "string"}},
            "where": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}},
            "required": ["city"]},
        "return": {"type": "string", "description": "A text"}}},
    {"type": "function", "function": {
        "name": "time", "description": "The time", "parameters": {"type": "object", "properties": {}}}},
]
DOCUMENTS = [{"doc_id": 1, "title": "Ünder", "text": "The first text.\n"}, {"doc_id": 2, "title": "B", "text": "The second."}]
MESSAGES = {
    "user": [user("  Who are you?\n")],
    "system": [SYSTEM, user("Hi \"there\" & <you>")],
    "turns": [user("1 + 1?"), assistant(" 2\n"), user("ça va? 字 👩‍👩‍👧‍👦"), assistant("Oui."), user("ok")],
    "answered": [SYSTEM, user("1 + 1?"), assistant("2")],
    "assistant": [assistant("first"), assistant("again")],
    "two users": [user("a"), user("b")],
    "call": [SYSTEM, user("Weather?"), assistant("", tool_calls=[call("weather", {"city": "Łódź", "days": 2}, "abcdefghi")]),
             {"role": "tool", "name": "weather", "content": "{\"sky\": \"clear\"}", "tool_call_id": "abcdefghi"}],
    "calls": [user("Weather?"), assistant(None, tool_calls=[
        call("weather", {"city": "Łódź", "x": [1.5, None, True, {}, [], "it's"]}, "abcdefghi"), call("time", {}, "123456789")]),
        {"role": "tool", "name": "weather", "content": "cold", "tool_call_id": "abcdefghi"},
        {"role": "tool", "name": "time", "content": "12:00", "tool_call_id": "123456789"},
        assistant("It is cold."), user("Thanks. And now?")],
    "call as text": [user("Weather?"), assistant("Let me see.", tool_calls=[call("weather", "{\"city\": \"Łódź\"}")]),
                     {"role": "tool", "content": "warm"}],
    "flat call": [user("Weather?"), assistant("", tool_calls=[{"name": "weather", "arguments": {"city": "Rom"}}]),
                  {"role": "tool", "content": "warm"}],
    "thoughts": [user("1 + 1?"), assistant("<think>\nHm.\n</think>\n\n2"), user("And 3 + 4?"),
                 assistant("<think>\n\n</think>\n\n7\n"), user("Good.")],
    "reasoning": [user("1 + 1?"), assistant("2", reasoning_content="Hm.\n"), user("3 + 4?"),
                  assistant("", reasoning_content="\nI ask.", tool_calls=[call("weather", {"city": "Rom"})]),
                  {"role": "tool", "content": "7"}, assistant("7", reasoning_content="So.", thinking="So.")],
    "parts": [{"role": "system", "content": [{"type": "text", "text": "Short."}]},
              user([{"type": "text", "text": " one"}, {"type": "text", "text": "two "}]),
              assistant([{"type": "text", "text": "three"}]), user([{"type": "image"}, {"type": "text", "text": "four"}])],
    "modes": [{"role": "system", "content": "Be kind. /no_think"}, user("Hello /think")],
    "override": [{"role": "system", "content": "Only this. /system_override"}, user("Hello")],
    "tools in system": [{"role": "system", "content": "Use them.", "tools": json.dumps(TOOLS)}, user("Hello")],
    "other role": [user("a"), {"role": "critic", "content": "b"}, {"role": "developer", "content": "c"}],
    "system later": [user("a"), assistant("b"), SYSTEM, user("c")],
    "no content": [{"role": "user"}],
    "white space": [SYSTEM | {"content": ""}, user(" \n\t "), assistant("\n"), user("x\r\ny\u00a0")],
    "empty": [],
}
VARIABLES = [
    {}, {"enable_thinking": True}, {"enable_thinking": False}, {"thinking": True}, {"thinking": False}, {"tools": TOOLS},
    {"tools": TOOLS, "enable_thinking": False}, {"tools": []}, {"documents": DOCUMENTS},
    {"tools": TOOLS, "documents": DOCUMENTS, "controls": {"length": "long", "originality": "abstractive", "citations": True}},
    {"xml_tools": TOOLS}, {"python_tools": ["def f(x):\n    return x"], "xml_tools": TOOLS}, {"tools": TOOLS, "date_string": "1 May 2025"},
    {"custom_tools": TOOLS, "tools_in_user_message": False, "builtin_tools": ["brave_search", "code_interpreter"]},
    {"reasoning_effort": "high", "preserve_thinking": True, "model_identity": "You are X."},
]
TOKENS = {"bos_token": "<|bos|>", "eos_token": "<|eos|>", "pad_token": "<|pad|>", "unk_token": "<|unk|>"}


def sources(path):
    """The templates of a file or folder: name, text, and variables of its own."""
    if path.is_dir():
        for inner in sorted(path.rglob("*")):
            if inner.suffix == ".jinja" or inner.name == "tokenizer_config.json":
                yield from sources(inner)
    elif path.suffix == ".gguf":
        from gguf import GGUFReader

        field = GGUFReader(path).fields.get("tokenizer.chat_template")
        if field:
            yield str(path), field.contents(), None
    elif path.suffix == ".json":
        template = json.loads(path.read_text()).get("chat_template")
        for entry in template if isinstance(template, list) else [{"name": "", "template": template}] if template else []:
            yield f"{path} {entry['name']}", entry["template"], None
    else:
        beside = path.with_suffix(".json")
        yield str(path), path.read_text(), json.loads(beside.read_text()) if beside.exists() else None


def cases(source, own):
    """Conversations; without those whose variables the template does not know."""
    for name, messages in MESSAGES.items():
        for variables in VARIABLES:
            if not all(variable in source for variable in variables):
                continue
            for generates in (False, True):
                yield f"{name}, {', '.join(variables)}", messages, TOKENS | variables, generates
    if own:
        own = dict(own)
        yield "its own", own.pop("messages"), own, own.pop("add_generation_prompt", False)


def expected(source, messages, variables, generates):
    variables = copy.deepcopy(variables)
    try:
        texts, _ = render_jinja_template(
            [copy.deepcopy(messages)], tools=variables.pop("tools", None), documents=variables.pop("documents", None),
            chat_template=source, add_generation_prompt=generates, **variables)
        return texts[0], None
    except Exception as error:  # Whatever Python or Jinja throws is a refusal.
        return None, f"{type(error).__name__}: {error}"


def main():
    rows, lines = [], []
    for argument in sys.argv[1:]:
        for template, source, own in sources(Path(argument)):
            for name, messages, variables, generates in cases(source, own):
                rows.append((template, name, generates, *expected(source, messages, variables, generates)))
                lines.append(json.dumps({"source": source, "messages": messages, "variables": variables,
                                         "add_generation_prompt": generates}))
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write("\n".join(lines))
        file.flush()
        output = subprocess.run([EXECUTABLE, "debug-template", file.name], capture_output=True, text=True, check=True).stdout
    found = [json.loads(line) for line in output.split("\n") if line]
    assert len(found) == len(rows), f"{len(found)} results for {len(rows)} cases"
    wrong, refused = {}, 0
    for (template, name, generates, text, error), result in zip(rows, found):
        refused += text is None
        if result.get("text") != text:
            wrong.setdefault(template, []).append((name, generates, text, error, result))
    for template, differences in wrong.items():
        name, generates, text, error, result = differences[0]
        print(f"{template}: {len(differences)} differ; the first is {name}, {generates}:\n"
              f"  transformers {error if text is None else repr(text)}\n  moult        {result.get('error') or repr(result['text'])}")
    print(f"{len({row[0] for row in rows})} templates, {len(rows)} texts, {refused} refused by both or one, "
          f"{sum(map(len, wrong.values()))} differences ({datetime.date.today()})")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
