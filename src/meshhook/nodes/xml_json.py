"""``xml_json``: XML text becomes data, or data XML text; a feed becomes one shape whatever its format. See ``xmltext``."""

from __future__ import annotations

from typing import Any

from meshhook import feeds, xmltext
from meshhook.budget import OverBudgetError, one_budget
from meshhook.errors import ExpressionError
from meshhook.mapping import Faults, compile_template
from meshhook.model import DEFAULT_PORT, Completed, Context, Work

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "to": {"enum": ["json", "feed", "xml"], "description": "What is wanted; feed: RSS or Atom in one shape."},
        "value": {
            "default": "{{ input }}",
            "description": "A template: the XML text, or for xml an object with one member, the root element.",
        },
        "arrays": {
            "type": "array",
            "maxItems": 1_000,
            "items": {"type": "string", "maxLength": 1_000},
            "default": [],
            "description": "With json: elements that are a list also when there is only one of them.",
        },
    },
    "required": ["to"],
    "additionalProperties": False,
    "if": {"properties": {"to": {"enum": ["feed", "xml"]}}},
    "then": {"properties": {"arrays": False}},
}


def ports(config: dict[str, Any]) -> list[str]:
    return [DEFAULT_PORT]


def compile(config: dict[str, Any], faults: Faults) -> Work:
    to, arrays = config["to"], frozenset(config.get("arrays", ()))
    value = compile_template(config.get("value", "{{ input }}"), ".value", faults)

    def convert(context: Context) -> Completed:
        given = value(context)
        try:
            if to == "xml":
                return Completed(xmltext.from_json(given))
            if not isinstance(given, str):
                raise ExpressionError("value", f"must be XML text, not {type(given).__name__}")
            if to == "feed":
                return Completed(feeds.feed(xmltext.parse(given, namespaces=True)))
            return Completed(xmltext.to_json(xmltext.parse(given), arrays))
        except (xmltext.XmlError, OverBudgetError) as error:
            raise ExpressionError("value", str(error)) from None

    return one_budget(convert)
