"""Payloads made of one JSON document: `{{ word }}` in its texts is drawn anew for each of them.

A text that is one placeholder and nothing else becomes the value, whatever its type; in any other text the value is put in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from meshproof.draw import Draw
from meshproof.words import NAMES, NOTHINGS, TEXTS

PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
WORDS: Final = {
    "index": "the number of the payload: 0, 1, 2 …",
    "int LOW HIGH": "a whole number, both ends included",
    "pick A B C": "one of these words",
    "bool": "true or false",
    "name": "a name, in any script",
    "text": "a text as senders send them, with quotes, line ends and other scripts",
    "nothing": 'null, "" or an empty list or object',
    "hex": "sixteen hexadecimal digits",
}
"""What may stand in a placeholder, and what it gives."""


class TemplateError(ValueError):
    """The template has a placeholder that means nothing; the message says which, and what there is."""


def check(template: Any) -> None:
    """Raise TemplateError where a placeholder means nothing."""
    for text in _texts(template):
        for found in PLACEHOLDER.finditer(text):
            _word(found[1])


def fill(template: Any, draw: Draw, number: int) -> Any:
    """Payload `number`, with what is drawn in place of the placeholders. Raises TemplateError."""
    if isinstance(template, str):
        if whole := PLACEHOLDER.fullmatch(template):
            return _word(whole[1])(draw, number)
        return PLACEHOLDER.sub(lambda found: _shown(_word(found[1])(draw, number)), template)
    if isinstance(template, list):
        return [fill(item, draw, number) for item in template]
    if isinstance(template, dict):
        return {key: fill(value, draw, number) for key, value in template.items()}
    return template


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _word(said: str) -> Callable[[Draw, int], Any]:
    match said.split():
        case ["index"]:
            return lambda draw, number: number
        case ["int", low, high] if _is_whole(low) and _is_whole(high) and int(low) <= int(high):
            return lambda draw, number: draw.between(int(low), int(high))
        case ["pick", *choices] if choices:
            return lambda draw, number: draw.pick(choices)
        case ["bool"]:
            return lambda draw, number: draw.chance(0.5)
        case ["name"]:
            return lambda draw, number: draw.pick(NAMES)
        case ["text"]:
            return lambda draw, number: draw.pick(TEXTS)
        case ["nothing"]:
            return lambda draw, number: draw.pick(NOTHINGS)
        case ["hex"]:
            return lambda draw, number: f"{draw.bits(64):016x}"
    raise TemplateError(f"{{{{ {said} }}}} is no placeholder. There are: {', '.join(WORDS)}.")


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,15}", text) is not None


def _texts(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, list | dict):
        for value in template.values() if isinstance(template, dict) else template:
            yield from _texts(value)
