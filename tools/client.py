"""Write what the Python client knows of the API: src/meshhook/client/calls.py and answers.py, out of the OpenAPI document.

Called by `make client` after a call of the API was added or changed; a test compares the files.

- A call is named like its handler. Parameters of the path come first, then the body where it is one document; the rest has names.
- A body that is an object is told member by member; one that is named like a part of the path has an underscore behind it.
- What is answered is a class of its own, tolerant of members it does not know: a client may be older than its server.
  Values that are one of a few, and ids, are text there for the same reason. Settings and definitions are plain JSON, to be sent
  back as they are.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Final

from meshhook.api.rest import document

FOLDER: Final = Path(__file__).parents[1] / "src" / "meshhook" / "client"
REF: Final = "#/components/schemas/"
DOCUMENTS: Final = {"Definition", "EndpointConfig", "LetterFilter"}
"""Schemas that are plain JSON to the client."""

HEAD: Final = '"""{}\n\nWritten by `make client` out of the OpenAPI document; a test compares it.\n"""\n\n'
CALLS: Final = """from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from meshhook.client.answers import (
    {answers}
)
from meshhook.client.operation import Answer, Event, Json, call, stream


class Calls:
    \"\"\"Every call of the API, in the order of the OpenAPI document.\"\"\"

"""
ANSWERS: Final = """from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    pass

"""


def main() -> None:
    for name, text in written(json.loads(document())).items():
        (FOLDER / name).write_text(text)
        print(f"wrote {FOLDER / name}", file=sys.stderr)


def written(api: dict[str, Any]) -> dict[str, str]:
    """The text of both files, by their names."""
    made = Made(api)
    calls = "\n".join(
        made.call(method, path, told) for path, methods in api["paths"].items() for method, told in methods.items()
    )
    answers = "\n\n".join(made.answer(name) for name in sorted(made.reached()))
    top = CALLS.format(answers=",\n    ".join(sorted(made.used)))
    return {
        "calls.py": formatted(HEAD.format("Every call of the API, described once for both clients.") + top + calls),
        "answers.py": formatted(HEAD.format("What calls of the API answer.") + ANSWERS + answers),
    }


class Made:
    """The parts of both files."""

    def __init__(self, api: dict[str, Any]) -> None:
        self.schemas: dict[str, Any] = api["components"]["schemas"]
        self.used: set[str] = set()

    # Calls

    def call(self, method: str, path: str, told: dict[str, Any]) -> str:
        parameters = told.get("parameters", [])
        places: dict[str, list[str]] = {"path": [], "query": [], "header": []}
        first, named = ["self"], []
        for parameter in parameters:
            name = snake(parameter["name"])
            if parameter["in"] == "header" and name == "last_event_id":
                continue  # the client resumes by itself
            places[parameter["in"]].append(name)
            kind = self.taken(parameter["schema"])
            if parameter["in"] == "path":
                first.append(f"{name}: {kind}")
            else:
                named.append(f"{name}: {kind}" if parameter.get("required") else f"{name}: {optional(kind, 'None')}")
        facts = [f'"{method.upper()}"', f'"{path}"']
        facts += [f"{key}={tuple(places[place])}" for key, place in KEYWORDS.items() if places[place]]
        if body := told.get("requestBody"):
            whole, members = self.body(body, taken=places["path"])
            first += whole
            named = members + named
            facts += ['whole="body"'] if whole else []
            if "*/*" in body["content"]:
                named += ['content_type: str = "application/json"', "headers: dict[str, str] | None = None"]
                facts.append("raw=True")
        by_status = self.answers(told["responses"])
        answered = " | ".join(dict.fromkeys(by_status.values())) or "None"
        if len(set(by_status.values())) > 1:
            facts.append("by_status={" + ", ".join(f"{code}: {kind}" for code, kind in by_status.items()) + "}")
        if answered == "Event":
            decorator, facts = "stream", facts[1:]
        else:
            decorator = "call"
        doc = "\n\n".join(part for part in (told["summary"] + ".", told.get("description", "")) if part)
        given = ", ".join([*first, *(["*", *named] if named else [])])
        lines = [
            f"@{decorator}({', '.join(facts)})",
            f"def {name_of(path, told['operationId'])}({given}) -> {answered}:",
        ]
        return indented("\n".join([*lines, *("    " + line for line in docstring(doc)), ""]))

    def body(self, body: dict[str, Any], *, taken: list[str]) -> tuple[list[str], list[str]]:
        """The parameter that is the whole body, if any, and those that are its members; what is ``taken`` gets an underscore."""
        [content] = body["content"].values()
        schema = content.get("schema", {})
        target = schema.get("$ref", "").removeprefix(REF)
        if not target or target in DOCUMENTS:
            kind = "Json" if target else "Any"
            return [f"body: {kind}" if body.get("required") or "*/*" in body["content"] else "body: Any = UNSET"], []
        found, members = self.schemas[target], []
        for name, member in sorted(found["properties"].items(), key=lambda item: item[0] not in found["required"]):
            kind, called = self.taken(member), f"{name}_" if name in taken else name
            members.append(f"{called}: {kind}" if name in found["required"] else f"{called}: {optional(kind, 'UNSET')}")
        return [], members

    def taken(self, schema: dict[str, Any]) -> str:
        """The type of what is sent."""
        if "$ref" in schema:
            return "Json"
        if options := schema.get("oneOf") or schema.get("anyOf"):
            return " | ".join(dict.fromkeys(self.taken(option) for option in options))
        if "enum" in schema:
            return "Literal[" + ", ".join(repr(value) for value in schema["enum"]) + "]"
        match schema.get("type"), schema.get("format"):
            case "string", "date-time":
                return "datetime | str"
            case "array", _:
                return f"{self.taken(schema['items'])} | Sequence[{self.taken(schema['items'])}]"
            case kind, _:
                return PLAIN.get(str(kind), "Any")

    def answers(self, responses: dict[str, Any]) -> dict[str, str]:
        """The types of what is answered when all is well, by status; ``Answer`` where it may be anything."""
        kinds: dict[str, str] = {}
        for status, response in sorted(responses.items()):
            if not status.startswith("2") or not response.get("content"):
                continue
            if "*/*" in response["content"]:
                return {status: "Answer"}
            [(media_type, content)] = response["content"].items()
            if media_type == "text/event-stream":
                return {status: "Event"}
            kinds[status] = self.given(content.get("schema", {})) if "json" in media_type else "str"
        self.used |= {kind for kind in kinds.values() if kind in self.classes()}
        return kinds

    # Answers

    def given(self, schema: dict[str, Any]) -> str:
        """The type of what is received."""
        if "$ref" in schema:
            target = schema["$ref"].removeprefix(REF)
            return "dict[str, Any]" if target in DOCUMENTS else class_of(target)
        if options := schema.get("oneOf") or schema.get("anyOf"):
            kinds = dict.fromkeys(self.given(option) for option in options)
            return "Any" if "Any" in kinds else " | ".join(kinds)
        if isinstance(schema.get("type"), list):
            return " | ".join(self.given({**schema, "type": kind, "enum": None}) for kind in reversed(schema["type"]))
        match schema.get("type"), schema.get("format"):
            case "string", "date-time":
                return "datetime"
            case "array", _:
                return f"list[{self.given(schema.get('items', {}))}]"
            case "object", _:
                further = schema.get("additionalProperties")
                return f"dict[str, {self.given(further) if isinstance(further, dict) else 'Any'}]"
            case kind, _:
                return PLAIN.get(str(kind), "Any")

    def classes(self) -> dict[str, str]:
        return {class_of(name): name for name in self.schemas}

    def reached(self) -> set[str]:
        """Every class that an answer may hold."""
        known, found, todo = self.classes(), set(), sorted(self.used)
        while todo:
            if (name := todo.pop()) in found:
                continue
            found.add(name)
            text = " ".join(self.given(member) for member in self.schemas[known[name]]["properties"].values())
            todo += [word for word in re.findall(r"\w+", text) if word in known]
        return found

    def answer(self, name: str) -> str:
        schema = self.schemas[self.classes()[name]]
        lines = [f"class {name}(_Answer, frozen=True, kw_only=True):"]
        lines += ["    " + line for line in docstring(schema["description"])] if "description" in schema else []
        required = schema.get("required", [])
        for member, told in sorted(schema["properties"].items(), key=lambda item: item[0] not in required):
            kind = self.given(told)
            lines.append(f"    {member}: {kind}" if member in required else f"    {member}: {optional(kind, 'None')}")
        return "\n".join(lines) + "\n"


KEYWORDS: Final = {"query": "query", "headers": "header"}
PLAIN: Final = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def optional(kind: str, default: str) -> str:
    """A type with its default: ``None`` goes last, as ruff wants it."""
    if kind == "Any":
        return f"Any = {default}"
    kinds = kind.removesuffix(" | None")
    kinds += " | UnsetType" if default == "UNSET" else ""
    return f"{kinds} | None = {default}" if default == "None" or kind.endswith(" | None") else f"{kinds} = {default}"


def name_of(path: str, operation_id: str) -> str:
    """The name of the handler: Litestar puts the words of the path before it."""
    words = "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", path))
    name = snake(operation_id.removeprefix(words))
    return {"stream_project": "stream"}.get(name, name)


def class_of(schema: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in schema.split("_"))


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.replace("-", "_")).lower()


def docstring(text: str) -> list[str]:
    lines = [part for line in text.strip().splitlines() for part in textwrap.wrap(line.strip(), 112) or [""]]
    return [f'"""{lines[0]}"""'] if len(lines) == 1 else [f'"""{lines[0]}', *lines[1:], '"""']


def indented(text: str) -> str:
    return "\n".join("    " + line if line.strip() else "" for line in text.splitlines()) + "\n"


def formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(FOLDER / "calls.py"), "-"]
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
