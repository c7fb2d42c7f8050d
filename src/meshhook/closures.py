"""JMESPath expressions as closures: the parsed expression is walked once, when it is compiled, not at every search.

The reference implementation walks the tree at every search and looks up a method for every node; that was a quarter of the
CPU of a worker. The common kinds of nodes are closures here and mean what the reference means (a test compares them on generated
values); every other kind is left to the reference itself.

Source: https://jmespath.org/specification.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import jmespath.visitor

Search = Callable[[Any], Any]
Tree = dict[str, Any]
Interpreter = Any  # jmespath.visitor.TreeInterpreter, of which the stubs know too little


def closure(node: Tree, interpreter: Interpreter) -> Search:
    """A function from value to result that means what ``interpreter.visit(node, value)`` means."""
    make = _MAKERS.get(node["type"])
    return make(node, interpreter) if make else lambda value: interpreter.visit(node, value)


def _children(node: Tree, interpreter: Interpreter) -> list[Search]:
    return [closure(child, interpreter) for child in node["children"]]


def _field(node: Tree, _: Interpreter) -> Search:
    name = node["value"]
    return lambda value: value.get(name) if isinstance(value, dict) else None


def _itself(_: Tree, __: Interpreter) -> Search:
    return lambda value: value


def _literal(node: Tree, _: Interpreter) -> Search:
    literal = node["value"]
    return lambda value: literal


def _index(node: Tree, _: Interpreter) -> Search:
    index = node["value"]
    return lambda value: value[index] if isinstance(value, list) and -len(value) <= index < len(value) else None


def _sequence(node: Tree, interpreter: Interpreter) -> Search:
    """Each child searches what the one before found."""
    first, *rest = _children(node, interpreter)
    if len(rest) == 1:
        (second,) = rest
        return lambda value: second(first(value))

    def search(value: Any) -> Any:
        value = first(value)
        for step in rest:
            value = step(value)
        return value

    return search


def _object(node: Tree, interpreter: Interpreter) -> Search:
    members = [(pair["value"], closure(pair["children"][0], interpreter)) for pair in node["children"]]
    return lambda value: None if value is None else {name: search(value) for name, search in members}


def _list(node: Tree, interpreter: Interpreter) -> Search:
    items = _children(node, interpreter)
    return lambda value: None if value is None else [search(value) for search in items]


def _projection(node: Tree, interpreter: Interpreter) -> Search:
    base, each = _children(node, interpreter)

    def search(value: Any) -> Any:
        elements = base(value)
        if not isinstance(elements, list):
            return None
        return [result for element in elements if (result := each(element)) is not None]

    return search


def _flatten(node: Tree, interpreter: Interpreter) -> Search:
    (base,) = _children(node, interpreter)

    def search(value: Any) -> Any:
        elements = base(value)
        if not isinstance(elements, list):
            return None
        flat: list[Any] = []
        for element in elements:
            flat.extend(element) if isinstance(element, list) else flat.append(element)
        return flat

    return search


def _comparator(node: Tree, interpreter: Interpreter) -> Search:
    left, right = _children(node, interpreter)
    compare, ordering = interpreter.COMPARATOR_FUNC[node["value"]], node["value"] not in ("eq", "ne")

    def search(value: Any) -> Any:
        one, other = left(value), right(value)
        if ordering and not (type(one) in _NUMBERS and type(other) in _NUMBERS):
            return None if not (_comparable(one) and _comparable(other)) else compare(one, other)
        return compare(one, other)

    return search


def _function(node: Tree, interpreter: Interpreter) -> Search:
    if any(child["type"] == "expref" for child in node["children"]):
        return lambda value: interpreter.visit(node, value)
    call, name, arguments = interpreter._functions.call_function, node["value"], _children(node, interpreter)  # noqa: SLF001
    return lambda value: call(name, [argument(value) for argument in arguments])


_NUMBERS: Final = (int, float)
# What can be ordered is the reference's to say.
_comparable: Final = jmespath.visitor._is_comparable  # type: ignore[attr-defined]  # noqa: SLF001

_MAKERS: Final[dict[str, Callable[[Tree, Interpreter], Search]]] = {
    "field": _field,
    "current": _itself,
    "identity": _itself,
    "literal": _literal,
    "index": _index,
    "subexpression": _sequence,
    "index_expression": _sequence,
    "pipe": _sequence,
    "multi_select_dict": _object,
    "multi_select_list": _list,
    "projection": _projection,
    "flatten": _flatten,
    "comparator": _comparator,
    "function_expression": _function,
}
