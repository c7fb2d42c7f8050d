"""JMESPath expressions as closures: the parsed expression is walked once, when it is compiled, not at every search.

The reference implementation walks the tree at every search and looks up a method for every node; that was a quarter of the
CPU of a worker. Each kind of node is a closure here and means what the reference means (a test compares them on generated
values). The functions stay the reference's own.

Whatever can grow with the data is charged to the budget of the step before it is done, see ``budget``. What is evaluated once
an element is priced when it is compiled, so that going through a list costs one charge, not one an element.

Source: https://jmespath.org/specification.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import jmespath.visitor

from meshhook.budget import charge, charge_text, meter, weigh

Search = Callable[[Any], Any]
Tree = dict[str, Any]
Functions = Any  # jmespath.functions.Functions, of which the stubs know too little


def closure(node: Tree, functions: Functions) -> Search:
    """A function from value to result that means what the reference's interpreter makes of ``node``."""
    return _MAKERS[node["type"]](node, functions)


def price(node: Tree) -> int:
    """What one evaluation of ``node`` costs, without what it does for each element of a list: that is charged when it is done."""
    children = [child for child in node.get("children", ()) if isinstance(child, dict)]
    for_each = _FOR_EACH.get(node["type"], ())
    own = {"function_expression": 10, "multi_select_dict": 4, "multi_select_list": 2}.get(node["type"], 1)
    return own + sum(price(child) for index, child in enumerate(children) if index not in for_each)


def growth(node: Tree) -> int:
    """How many times what it is given an expression may give back, at most: 1 for a path, 2 and a little for ``[@, @]``.

    Literals and the names of members count by their length. It is an upper bound, made to be cheap.
    """
    kind, children = node["type"], [child for child in node.get("children", ()) if isinstance(child, dict)]
    grown = [growth(child) for child in children]
    if kind == "literal":
        return _bounded(1 + len(str(node["value"])) // _FREE_CHARACTERS)
    if kind in _ONE_AFTER_ANOTHER or (kind == "function_expression" and node["value"] == "map"):
        return _bounded(math.prod(grown))
    if kind == "multi_select_list":
        return _bounded(max(2, sum(grown)))  # so that what nests deeper and deeper is weighed too
    if kind == "multi_select_dict":
        return _bounded(1 + sum(grown) + sum(len(child["value"]) for child in children) // _FREE_CHARACTERS)
    if kind == "function_expression" and node["value"] == "to_string":
        return _bounded(sum(grown) * _ESCAPED)
    if (kind == "function_expression" and node["value"] in _GIVES_SCALAR) or kind in ("comparator", "not_expression"):
        return 1
    return _bounded(max(1, sum(grown)))


def _bounded(times: int) -> int:
    return min(times, 10**6)


_FREE_CHARACTERS: Final = 8
_ESCAPED: Final = 6  # characters of JSON for one of text, at most
_ONE_AFTER_ANOTHER: Final = frozenset(
    {"subexpression", "index_expression", "pipe", "projection", "value_projection", "filter_projection"}
)
_GIVES_SCALAR: Final = frozenset(
    {"abs", "avg", "ceil", "contains", "ends_with", "floor", "length", "starts_with", "sum", "to_number", "type"}
)
_FOR_EACH: Final[dict[str, tuple[int, ...]]] = {
    "projection": (1,),
    "value_projection": (1,),
    "filter_projection": (1, 2),
    "expref": (0,),
}


def _children(node: Tree, functions: Functions) -> list[Search]:
    return [closure(child, functions) for child in node["children"]]


def _field(node: Tree, _: Functions) -> Search:
    name = node["value"]
    return lambda value: value.get(name) if isinstance(value, dict) else None


def _itself(_: Tree, __: Functions) -> Search:
    return lambda value: value


def _literal(node: Tree, _: Functions) -> Search:
    literal = node["value"]
    return lambda value: literal


def _index(node: Tree, _: Functions) -> Search:
    index = node["value"]
    return lambda value: value[index] if isinstance(value, list) and -len(value) <= index < len(value) else None


def _slice(node: Tree, _: Functions) -> Search:
    part = slice(*node["children"])

    def search(value: Any) -> Any:
        if not isinstance(value, list):
            return None
        charge(len(value))
        return value[part]

    return search


def _sequence(node: Tree, functions: Functions) -> Search:
    """Each child searches what the one before found."""
    first, *rest = _children(node, functions)
    if len(rest) == 1:
        (second,) = rest
        return lambda value: second(first(value))

    def search(value: Any) -> Any:
        value = first(value)
        for step in rest:
            value = step(value)
        return value

    return search


def _object(node: Tree, functions: Functions) -> Search:
    members = [(pair["value"], closure(pair["children"][0], functions)) for pair in node["children"]]
    return lambda value: None if value is None else {name: search(value) for name, search in members}


def _list(node: Tree, functions: Functions) -> Search:
    items = _children(node, functions)
    return lambda value: None if value is None else [search(value) for search in items]


def _projection(node: Tree, functions: Functions) -> Search:
    base, each = _children(node, functions)
    cost = price(node["children"][1])

    def search(value: Any) -> Any:
        elements = base(value)
        if not isinstance(elements, list):
            return None
        meter.left -= len(elements) * cost  # as ``charge`` does, without a call: nearly every expression comes by here
        if meter.left < 0:
            charge(0)
        return [result for element in elements if (result := each(element)) is not None]

    return search


def _value_projection(node: Tree, functions: Functions) -> Search:
    base, each = _children(node, functions)
    cost = price(node["children"][1])

    def search(value: Any) -> Any:
        members = base(value)
        if not isinstance(members, dict):
            return None
        charge(len(members) * cost)
        return [result for element in members.values() if (result := each(element)) is not None]

    return search


def _filter(node: Tree, functions: Functions) -> Search:
    base, each, condition = _children(node, functions)
    cost = price(node["children"][1]) + price(node["children"][2])

    def search(value: Any) -> Any:
        elements = base(value)
        if not isinstance(elements, list):
            return None
        charge(len(elements) * cost)
        return [
            result
            for element in elements
            if not _is_false(condition(element)) and (result := each(element)) is not None
        ]

    return search


def _flatten(node: Tree, functions: Functions) -> Search:
    (base,) = _children(node, functions)

    def search(value: Any) -> Any:
        elements = base(value)
        if not isinstance(elements, list):
            return None
        meter.left -= len(elements)
        if meter.left < 0:
            charge(0)
        flat: list[Any] = []
        for element in elements:
            if isinstance(element, list):
                charge(len(element))
                flat.extend(element)
            else:
                flat.append(element)
        return flat

    return search


def _comparator(node: Tree, functions: Functions) -> Search:
    left, right = _children(node, functions)
    ordering = node["value"] not in ("eq", "ne")
    compare = jmespath.visitor.TreeInterpreter.COMPARATOR_FUNC[node["value"]]

    def search(value: Any) -> Any:
        one, other = left(value), right(value)
        if ordering and not (type(one) in _NUMBERS and type(other) in _NUMBERS):
            return None if not (_comparable(one) and _comparable(other)) else compare(one, other)
        _charge_comparison(one, other)
        return compare(one, other)

    return search


def _charge_comparison(one: Any, other: Any) -> None:
    kind = type(one)
    if kind is type(other) and kind in _GROWING:
        if kind is str:
            charge_text(len(one))
        else:
            weigh(one)
            weigh(other)


def _or(node: Tree, functions: Functions) -> Search:
    left, right = _children(node, functions)
    return lambda value: right(value) if _is_false(found := left(value)) else found


def _and(node: Tree, functions: Functions) -> Search:
    left, right = _children(node, functions)
    return lambda value: found if _is_false(found := left(value)) else right(value)


def _not(node: Tree, functions: Functions) -> Search:
    (inner,) = _children(node, functions)
    return lambda value: _is_false(inner(value))


def _is_false(value: Any) -> bool:
    return value is None or value is False or (not value and type(value) in _GROWING)


class _Expression:
    """What a function is given for ``&expression``. It goes by the name of its class, and is asked as the reference's is."""

    __slots__ = ("expression", "search")

    def __init__(self, search: Search) -> None:
        self.expression = None
        self.search = search

    def visit(self, _: object, value: Any) -> Any:
        key = self.search(value)
        if type(key) is str:
            charge_text(len(key) * _COMPARISONS_OF_A_KEY)
        return key


_COMPARISONS_OF_A_KEY: Final = 22  # log2 of the longest list that can be paid for


def _expref(node: Tree, functions: Functions) -> Search:
    reference = _Expression(closure(node["children"][0], functions))
    return lambda value: reference


def _function(node: Tree, functions: Functions) -> Search:
    call, name, arguments = functions.call_function, node["value"], _children(node, functions)
    per_element = sum(price(child["children"][0]) for child in node["children"] if child["type"] == "expref")
    per_element += _PER_ELEMENT.get(name, 0)
    charge_further = _FURTHER.get(name)

    def search(value: Any) -> Any:
        given = [argument(value) for argument in arguments]
        for one in given:
            _charge_argument(one, per_element)
        if charge_further is not None:
            charge_further(given)
        return call(name, given)

    if len(arguments) != 1:
        return search
    (only,) = arguments

    def search_one(value: Any) -> Any:
        given = only(value)
        if type(given) in _GROWING:
            _charge_argument(given, per_element)
        if charge_further is not None:
            charge_further([given])
        return call(name, [given])

    return search_one


def _charge_argument(one: Any, per_element: int) -> None:
    kind = type(one)
    if kind is list:
        charge(len(one) * per_element)
    elif kind is str:
        charge_text(len(one))
    elif kind is dict:
        charge(len(one))


def _charge_join(given: list[Any]) -> None:
    if len(given) == 2 and type(given[0]) is str and type(given[1]) is list:
        charge_text(len(given[0]) * len(given[1]) + _characters(given[1]))


def _charge_order(given: list[Any]) -> None:
    if given and type(given[0]) is list:
        charge(len(given[0]) * 2)
        charge_text(_characters(given[0]) * len(given[0]).bit_length())


def _charge_search(given: list[Any]) -> None:
    if len(given) == 2 and type(given[0]) is list:
        charge((len(given[0]) * (2 + weigh(given[1]))) >> 2)
        charge_text(len(given[0]) * len(given[1]) if type(given[1]) is str else 0)


def _charge_writing(given: list[Any]) -> None:
    if given and type(given[0]) in (list, dict):
        weigh(given[0])


def _characters(parts: Iterable[Any]) -> int:
    return sum(len(part) for part in parts if type(part) is str)


_GROWING: Final = (str, list, dict)
_NUMBERS: Final = (int, float)
# What can be ordered is the reference's to say.
_comparable: Final = jmespath.visitor._is_comparable  # type: ignore[attr-defined]  # noqa: SLF001

_PER_ELEMENT: Final = dict.fromkeys(("avg", "join", "max", "min", "reverse", "sort", "sum"), 2) | dict.fromkeys(
    ("map", "max_by", "min_by", "sort_by"), 4
)
_FURTHER: Final[dict[str, Callable[[list[Any]], None]]] = {
    "join": _charge_join,
    "sort": _charge_order,
    "max": _charge_order,
    "min": _charge_order,
    "sort_by": _charge_order,
    "contains": _charge_search,
    "to_string": _charge_writing,
}

_MAKERS: Final[dict[str, Callable[[Tree, Functions], Search]]] = {
    "field": _field,
    "current": _itself,
    "identity": _itself,
    "literal": _literal,
    "index": _index,
    "slice": _slice,
    "subexpression": _sequence,
    "index_expression": _sequence,
    "pipe": _sequence,
    "multi_select_dict": _object,
    "multi_select_list": _list,
    "projection": _projection,
    "value_projection": _value_projection,
    "filter_projection": _filter,
    "flatten": _flatten,
    "comparator": _comparator,
    "or_expression": _or,
    "and_expression": _and,
    "not_expression": _not,
    "expref": _expref,
    "function_expression": _function,
}
