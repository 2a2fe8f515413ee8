#!/usr/bin/env python3
"""Asks moult serve for answers of a form, as clients that exist do, and has them judged by the jsonschema package.

    python3 -m venv .venv-clients
    .venv-clients/bin/pip install openai==3.57.0 'lm_eval[api]==0.4.13' jsonschema==4.26.0 pydantic==2.14.4 llm==0.36 \
        langchain-openai==1.7.4
    .venv-clients/bin/python Tools/oracles/serve_structured.py [MODEL] [--samples 8] [--only schemas]

The parts: schemas (many schemas, greedy and at temperature 1, each answer judged), openai (response_format, parse with pydantic, tools
whole and as a stream), responses (the same by /v1/responses), langchain (with_structured_output, bind_tools), llm (--schema, tools, a conversation), lm_eval
(local-chat-completions on questions that are to be answered by a text).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Optional, Union

import jsonschema
import moult
import openai
from moult import check
from pydantic import BaseModel, Field

BIN = Path(sys.executable).parent


class Unit(Enum):
    celsius = "celsius"
    kelvin = "kelvin"


class City(BaseModel):
    name: str = Field(max_length=30)
    country: Literal["Norway", "Italy", "Japan"]
    population: int = Field(ge=0, le=50_000_000)
    coastal: bool
    nickname: Optional[str] = Field(None, max_length=20)


class Place(BaseModel):
    """A place, without the strings that small models do not end."""

    country: Literal["Norway", "Italy", "Japan"]
    population: int
    coastal: bool


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = Field(max_length=3)


class Owner(BaseModel):
    pet: Union[Cat, Dog] = Field(discriminator="kind")
    temperature: float = Field(gt=-273.15, lt=1000)
    unit: Unit
    where: tuple[float, float]


class Node(BaseModel):
    value: int
    children: list["Node"] = Field(max_length=2)


SCHEMAS = {
    "city": City.model_json_schema(),
    "owner": Owner.model_json_schema(),
    "tree": Node.model_json_schema(),
    "integers": {"type": "array", "items": {"type": "integer", "minimum": -50, "maximum": 50}, "minItems": 1, "maxItems": 5},
    "enum": {"enum": ["red", "green", "blue", 1, 2.5, None, {"a": [True]}]},
    "pattern": {"type": "object", "properties": {"id": {"type": "string", "pattern": "^[A-Z]{2}-\\d{3,5}$"},
                "mail": {"type": "string", "format": "email"}, "day": {"type": "string", "format": "date"},
                "at": {"type": "string", "format": "date-time"}, "key": {"type": "string", "format": "uuid"},
                "host": {"type": "string", "format": "ipv4"}}, "required": ["id", "mail", "day", "at", "key", "host"]},
    "words": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 12}},
    "optional": {"type": "object", "properties": {c: {"type": ["integer", "null"]} for c in "abcdef"}, "required": ["c"],
                 "additionalProperties": False},
    "numbers": {"type": "array", "prefixItems": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "number",
                "exclusiveMaximum": 0}, {"type": "number"}, {"type": "integer"}], "minItems": 4, "items": False},
    "merged": {"allOf": [{"$ref": "#/$defs/named"}, {"type": "object", "properties": {"age": {"type": "integer", "minimum": 18,
               "exclusiveMaximum": 100}}, "required": ["age"]}],
               "$defs": {"named": {"type": "object", "properties": {"name": {"type": "string", "minLength": 2, "maxLength": 12}},
                                   "required": ["name"]}}},
    "any": {"anyOf": [{"type": "string", "maxLength": 20}, {"type": "array", "items": {"type": "boolean"}, "maxItems": 4},
                      {"type": "object", "properties": {"x": {"const": "y"}}, "required": ["x"]}]},
    "unicode": {"type": "object", "properties": {"名前": {"type": "string", "maxLength": 8}, "größe": {"enum": ["klein", "groß"]}},
                "required": ["名前", "größe"]},
}

QUESTION = "Make up an example. Answer with JSON."


def schemas(client, name, samples):
    judged = cut = 0
    for title, schema in SCHEMAS.items():
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        validator.check_schema(schema)
        for temperature, count in [(0, 1), (1, samples)]:
            reply = client.chat.completions.create(
                model=name, messages=[{"role": "user", "content": QUESTION}], temperature=temperature, n=count, seed=1,
                max_tokens=400, response_format={"type": "json_schema", "json_schema": {"name": title, "schema": schema}})
            for choice in reply.choices:
                if choice.finish_reason == "length":
                    cut += 1
                    continue
                judged += 1
                text = choice.message.content
                errors = [e.message for e in validator.iter_errors(json.loads(text))]
                if errors:
                    check(False, f"{title}: {text!r}: {errors}")
        print(f"      {title}: {text[:100]!r}", flush=True)
    check(judged > 4 * len(SCHEMAS), f"jsonschema {version('jsonschema')}: {judged} answers of {len(SCHEMAS)} schemas are valid, "
          f"{cut} were cut at 400 tokens")
    for _ in range(samples):
        reply = client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": QUESTION}], temperature=1, max_tokens=300,
            response_format={"type": "json_object"}).choices[0]
        if reply.finish_reason == "stop":
            check(isinstance(json.loads(reply.message.content), dict), f"json_object: {reply.message.content[:60]!r}")


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["celsius", "kelvin"]}},
        "required": ["city", "unit"], "additionalProperties": False}}}
TIME = {"type": "function", "function": {"name": "get_time", "description": "The time of day."}}


def openai_package(client, name):
    parsed = client.chat.completions.parse(
        model=name, messages=[{"role": "user", "content": "Describe Oslo."}], response_format=City, temperature=0,
        max_tokens=200).choices[0].message.parsed
    check(isinstance(parsed, City), f"openai: parse with pydantic: {parsed}")
    asked = [{"role": "user", "content": "What is the weather in Rome?"}]
    arguments = {"model": name, "messages": asked, "tools": [WEATHER, TIME], "temperature": 0, "max_tokens": 200}
    for choice in ["required", {"type": "function", "function": {"name": "get_weather"}}]:
        whole = client.chat.completions.create(tool_choice=choice, parallel_tool_calls=False, **arguments).choices[0]
        check(whole.finish_reason == "tool_calls" and whole.message.content is None, f"openai: tool_choice {choice}")
        call = whole.message.tool_calls[0].function
        if call.name == "get_weather":
            jsonschema.validate(json.loads(call.arguments), WEATHER["function"]["parameters"])
        check(True, f"openai: {call.name}({call.arguments})")
        found, reason = {}, None
        for part in client.chat.completions.create(tool_choice=choice, parallel_tool_calls=False, stream=True, **arguments):
            for delta in part.choices[0].delta.tool_calls or []:
                entry = found.setdefault(delta.index, {"id": delta.id, "name": "", "arguments": ""})
                entry["name"] += delta.function.name or ""
                entry["arguments"] += delta.function.arguments or ""
            reason = part.choices[0].finish_reason or reason
        check(reason == "tool_calls" and found[0]["arguments"] == call.arguments and found[0]["id"],
              "openai: the same call as a stream")
        with client.chat.completions.stream(tool_choice=choice, parallel_tool_calls=False, **arguments) as events:
            kinds = {event.type for event in events}
            check("tool_calls.function.arguments.done" in kinds, "openai: the stream helper reads the call")
    auto = client.chat.completions.create(tool_choice="auto", **arguments).choices[0]
    check(auto.finish_reason in ("tool_calls", "stop", "length"), f"openai: auto: {auto.message.tool_calls or auto.message.content!r}")
    again = client.chat.completions.create(**arguments | {"messages": asked + [
        whole.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": whole.message.tool_calls[0].id, "content": "20 degrees, sun"}]}).choices[0]
    check(again.message.content or again.message.tool_calls, f"openai: after the tool's answer: {again.message.content!r}")
    parsed = client.chat.completions.parse(
        model=name, messages=asked, tools=[openai.pydantic_function_tool(City)], tool_choice="required",
        parallel_tool_calls=False, temperature=0, max_tokens=200).choices[0].message.tool_calls[0].function.parsed_arguments
    check(isinstance(parsed, City), f"openai: a tool's arguments as pydantic: {parsed}")
    for fields, param in [
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"not": {}}}}}, "response_format"),
        ({"tools": [WEATHER], "functions": [{"name": "f"}]}, "functions"),
    ]:
        try:
            client.chat.completions.create(model=name, messages=asked, **fields)
        except (openai.BadRequestError, TypeError) as refusal:
            check(getattr(refusal, "param", param) == param, f"openai: {refusal}")
        else:
            check(False, f"openai: {fields} was not refused")


def responses(client, name):
    parsed = client.responses.parse(
        model=name, input="Describe Oslo.", text_format=City, temperature=0, max_output_tokens=200)
    check(isinstance(parsed.output_parsed, City), f"openai: responses.parse with pydantic: {parsed.output_parsed}")
    weather = {"type": "function", "strict": True} | WEATHER["function"]
    arguments = {"model": name, "tools": [weather], "temperature": 0, "max_output_tokens": 200, "parallel_tool_calls": False}
    question = "What is the weather in Rome?"
    for choice in ["required", {"type": "function", "name": "get_weather"}]:
        whole = client.responses.create(input=question, tool_choice=choice, **arguments)
        call = whole.output[0]
        check(whole.status == "completed" and call.type == "function_call" and call.call_id, f"openai: tool_choice {choice}")
        jsonschema.validate(json.loads(call.arguments), weather["parameters"])
        found, done, kinds = "", None, []
        with client.responses.stream(input=question, tool_choice=choice, **arguments) as events:
            for event in events:
                kinds.append(event.type)
                found += event.delta if event.type == "response.function_call_arguments.delta" else ""
                done = event if event.type == "response.function_call_arguments.done" else done
            last = events.get_final_response()
        check(found == done.arguments == call.arguments == last.output[0].arguments, f"openai: {call.name}({found}), as a stream")
        check(kinds.count("response.output_item.added") == kinds.count("response.output_item.done") == 1, "openai: one item")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "20 degrees, sun"}
    next_turn = arguments | {"max_output_tokens": 24}
    after = client.responses.create(input=[result], previous_response_id=whole.id, **next_turn)
    cached = after.usage.input_tokens_details.cached_tokens
    check(after.output and cached > 0, f"openai: after the tool's answer, with {cached} tokens from a state: {after.output_text!r}")
    again = client.responses.create(input=[{"role": "user", "content": question}, *whole.output, result], **next_turn)
    check(again.usage.input_tokens == after.usage.input_tokens, "openai: the same as items of one request")
    parsed = client.responses.parse(
        input=question, tool_choice="required", **arguments | {"tools": [openai.pydantic_function_tool(City)]})
    check(isinstance(parsed.output[0].parsed_arguments, City), f"openai: a tool of pydantic's: {parsed.output[0].parsed_arguments}")
    for fields, param in [
        ({"text": {"format": {"type": "json_schema", "name": "a", "schema": {"not": {}}}}}, "text.format"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"), ({"tool_choice": "required"}, "tool_choice"),
    ]:
        try:
            client.responses.create(model=name, input=question, **fields)
        except openai.BadRequestError as refusal:
            check(refusal.param == param, f"openai: {refusal.body['message']}")
        else:
            check(False, f"openai: {fields} was not refused")


def langchain(root, name):
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    @tool
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    model = ChatOpenAI(model=name, base_url=f"{root}/v1", api_key="none", temperature=0, max_tokens=300, max_retries=0)
    for method in ["json_schema", "function_calling"]:
        answer = model.with_structured_output(Place, method=method).invoke("Describe Oslo.")
        check(isinstance(answer, Place), f"langchain: with_structured_output({method}): {answer!r}")
    message = model.bind_tools([add], tool_choice="any").invoke("What is 3 + 4?")
    check(message.tool_calls[0]["name"] == "add", f"langchain: bind_tools: {message.tool_calls[0]['args']}")
    parts = list(model.bind_tools([add], tool_choice="add").stream("What is 3 + 4?"))
    whole = parts[0]
    for part in parts[1:]:
        whole += part
    check(set(whole.tool_calls[0]["args"]) == {"a", "b"}, f"langchain: the same as a stream: {whole.tool_calls[0]['args']}")


def llm_command(root, name):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "extra-openai-models.yaml").write_text(json.dumps([
            {"model_id": "moult", "model_name": name, "api_base": f"{root}/v1", "supports_schema": True, "supports_tools": True}]))
        environment = os.environ | {"LLM_USER_PATH": folder}

        def llm(*arguments):
            result = subprocess.run([BIN / "llm", *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                                    text=True)
            check(result.returncode == 0, f"llm {' '.join(arguments)[:60]}: {result.stdout.strip()[:80]!r}{result.stderr[-300:]}")
            return result.stdout

        options = ["-m", "moult", "-o", "temperature", "0", "-o", "max_tokens", "200"]
        llm(*options, "Say hello.")
        llm("-c", "-o", "max_tokens", "20", "And again.")
        llm(*options, "--no-stream", "Say hello.")
        for stream in [[], ["--no-stream"]]:
            answer = json.loads(llm(*options, *stream, "--schema", "name, age int, bio: one short sentence", "Invent a dog."))
            check(set(answer) == {"name", "age", "bio"} and isinstance(answer["age"], int), f"llm --schema: {answer}")
        llm(*options, "--functions", "def double(x: int) -> int:\n    'Doubles a number.'\n    return 2 * x", "Double 21.")


def harness(root, name, data, limit):
    from lm_eval import simple_evaluate

    task = {
        "task": "moult_answers", "dataset_path": "json", "validation_split": "validation",
        "dataset_kwargs": {"data_files": {"validation": str(data / "arc_easy_val.jsonl")}}, "output_type": "generate_until",
        "doc_to_text": "{{context}}", "doc_to_target": "{{choices[gold]}}",
        "generation_kwargs": {"until": ["\n\n"], "max_gen_toks": 24, "temperature": 0},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True, "ignore_case": True}],
    }
    results = simple_evaluate(
        model="local-chat-completions", tasks=[task], limit=limit, bootstrap_iters=0, apply_chat_template=True, log_samples=True,
        model_args={"model": name, "base_url": f"{root}/v1/chat/completions", "num_concurrent": 4, "max_length": 8192})
    answers = [sample["resps"][0][0] for sample in results["samples"]["moult_answers"]]
    check(len(answers) == limit and all(answers), f"lm_eval local-chat-completions: {len(answers)} answers: {answers[0]!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=moult.ROOT / ".models" / "SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--data", type=Path, default=moult.ROOT / ".data" / "questions")
    parser.add_argument("--samples", type=int, default=8, help="answers at temperature 1 of each schema, at most 16")
    parser.add_argument("--limit", type=int, default=5, help="questions of lm_eval")
    parser.add_argument("--only", help="parts, by commas")
    arguments = parser.parse_args()
    with moult.serving(arguments.model) as root:
        client = openai.OpenAI(base_url=f"{root}/v1", api_key="none", max_retries=0)
        name = client.models.list().data[0].id
        parts = {
            "schemas": lambda: schemas(client, name, arguments.samples), "openai": lambda: openai_package(client, name),
            "responses": lambda: responses(client, name),
            "langchain": lambda: langchain(root, name), "llm": lambda: llm_command(root, name),
            "lm_eval": lambda: harness(root, name, arguments.data, arguments.limit),
        }
        for part in arguments.only.split(",") if arguments.only else parts:
            parts[part]()


if __name__ == "__main__":
    main()
