"""JMESPath expressions and ``{{ }}`` templates: how a node turns the data of a run into a value.

An expression is compiled once, when its definition is loaded, and then searched many times. Everything here is pure.

Source: https://jmespath.org/specification.html
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jmespath
import jmespath.functions
import msgspec

from meshhook.budget import WORK_MAX, OverBudgetError, charge_text, meter, one_budget, weigh
from meshhook.closures import closure, growth
from meshhook.errors import ExpressionError
from meshhook.jsontext import deeper_than
from meshhook.model import Context
from meshhook.placeholders import ONLY_HERE, SecretRef, speaks_of_secrets

EXPRESSION_LENGTH_MAX = 10_000
EXPRESSION_DEPTH_MAX = 100
"""So deep an expression may nest. How deep Python's stack is when it is evaluated must not decide how a run ends."""
TEMPLATE_DEPTH_MAX = 100
GROWTH_UNWEIGHED_MAX = 20
"""A value that is at most so many times what it is made from is written without being weighed first: nearly every one is."""
_DIGITS_MAX = 4_000
"""Digits of a whole number: a few more, and Python refuses to write it."""

type_check = jmespath.functions.signature
Render = Callable[[Context], Any]


class _JsonFunctions(jmespath.functions.Functions):
    """The built-in functions, kept inside JSON: a result that would be infinite or no number is an error or ``null``.

    JSON has no infinity (RFC 8259, section 6); unguarded, ``to_number('1e999')`` would be written to the journal as null.
    """

    @type_check({"types": []})
    def _func_to_number(self, x: Any) -> Any:
        number = super()._func_to_number(x)  # type: ignore[misc]  # the stubs leave it out
        return None if isinstance(number, float) and not math.isfinite(number) else number

    @type_check({"types": ["array-number"]})
    def _func_sum(self, numbers: list[Any]) -> Any:
        return _finite("sum", sum(numbers))

    @type_check({"types": ["array-number"]})
    def _func_avg(self, numbers: list[Any]) -> Any:
        return _finite("avg", sum(numbers) / len(numbers)) if numbers else None


def _finite(function: str, number: Any) -> Any:
    too_large = not math.isfinite(number) if isinstance(number, float) else number.bit_length() > _DIGITS_MAX * 3
    if too_large:
        raise OverflowError(f"the result of {function}() is too large for a JSON number")
    return number


_TAKES_EXPREF = {name for name, entry in _JsonFunctions.FUNCTION_TABLE.items() if "expref" in str(entry["signature"])}
_FUNCTIONS = _JsonFunctions()


class Expression:
    """A compiled JMESPath expression. ``source`` is its text, ``growth`` how many times what it reads its value may be."""

    __slots__ = ("_search", "growth", "source", "speaks_of_secrets")

    def __init__(self, source: str) -> None:
        """Compile ``source``.

        Raises:
            ExpressionError: it does not parse, calls a function that does not exist, is longer than
                ``EXPRESSION_LENGTH_MAX`` characters, or nests deeper than ``EXPRESSION_DEPTH_MAX``.
        """
        if len(source) > EXPRESSION_LENGTH_MAX:
            raise ExpressionError(source[:60] + "…", f"longer than {EXPRESSION_LENGTH_MAX} characters")
        if _brackets_nest_deeper(source, EXPRESSION_DEPTH_MAX):
            raise ExpressionError(source, _TOO_DEEP)
        try:
            parsed = dict(jmespath.compile(source).parsed)
        except RecursionError:
            raise ExpressionError(source, _TOO_DEEP) from None
        except (jmespath.exceptions.JMESPathError, ValueError) as error:
            raise ExpressionError(source, _one_line(error), _position_of(error)) from None
        fault = _fault_of(parsed)
        if fault is not None:
            raise ExpressionError(source, fault)
        self.source = source
        self.growth = growth(parsed)
        self.speaks_of_secrets = speaks_of_secrets(parsed)
        self._search = closure(parsed, _FUNCTIONS)

    def search(self, context: Context) -> Any:
        """The value of the expression over ``context``, with a budget of its own unless it is part of ``one_budget``.

        Raises:
            ExpressionError: a function got a value of the wrong type, the result is no JSON, or the budget is spent.
        """
        if not meter.running:
            meter.left = WORK_MAX
        try:
            return self._search(context)
        except jmespath.exceptions.JMESPathTypeError as error:
            raise ExpressionError(self.source, _wrong_type(error)) from None
        except (jmespath.exceptions.JMESPathError, TypeError, ValueError, ArithmeticError) as error:
            raise ExpressionError(self.source, _one_line(error)) from None


_TOO_DEEP = f"nested deeper than {EXPRESSION_DEPTH_MAX} levels"


def _brackets_nest_deeper(source: str, levels: int) -> bool:
    """Whether brackets open more than ``levels`` deep. Those in quotes count too: so many there mean nothing good."""
    if source.count("(") + source.count("[") + source.count("{") <= levels:
        return False
    depth = 0
    for letter in source:
        depth += (letter in "([{") - (letter in ")]}")
        if depth > levels:
            return True
    return False


def is_true(value: Any) -> bool:
    """JMESPath truth: everything but ``null``, ``false``, ``""``, ``[]`` and ``{}`` is true (0 is true)."""
    return not (value is None or value is False or value == "" or value == [] or value == {})


_OPEN = "{{"
_CLOSE = "}}"
_CLOSINGS_MAX = 20
"""How many ``}}`` are tried for one placeholder: compiling is not free, and texts come from strangers."""


Faults = list[tuple[str, ExpressionError]]
"""What does not compile: the path below the place where compiling began, and why."""


def compile_expression(source: str, at: str, faults: Faults) -> Render:
    """The search function of ``source``; when it does not compile, that is added to ``faults`` under the path ``at``.

    Each evaluation has a budget, see ``budget``; a node with several makes one of them with ``one_budget``.
    """
    try:
        expression = _without_secrets(source)
    except ExpressionError as error:
        faults.append((at, error))
        return lambda context: None
    return _written(expression.search, [expression])


def _without_secrets(source: str) -> Expression:
    expression = Expression(source)
    if expression.speaks_of_secrets:
        raise ExpressionError(source, ONLY_HERE)
    return expression


def compile_template(template: Any, at: str, faults: Faults, secrets: set[str] | None = None) -> Render:
    """A function that renders ``template``: any JSON value whose strings may hold ``{{ expression }}``.

    A string that is exactly one placeholder becomes the value of its expression; in every other string each placeholder is
    replaced by text. Every placeholder that does not compile is added to ``faults``, with its path below ``at``.

    ``secrets`` is given where ``{{ secrets.NAME }}`` may stand, and gets the names; elsewhere that is a fault.
    """
    expressions: list[Expression] = []
    render = _compile(template, at, faults, 0, expressions, secrets)
    written = _written(render, expressions)
    return one_budget(written) if len(expressions) > 1 else written


def _written(render: Render, expressions: list[Expression]) -> Render:
    """``render``, whose value is weighed when it could be far larger on paper than what it is made from."""
    if sum(expression.growth for expression in expressions) <= GROWTH_UNWEIGHED_MAX:
        return render

    def rendered(context: Context) -> Any:
        value = render(context)
        try:
            weigh(value)
        except OverBudgetError as error:
            raise ExpressionError(expressions[0].source, str(error)) from None
        return value

    return one_budget(rendered)


def _compile(
    template: Any, at: str, faults: Faults, depth: int, expressions: list[Expression], secrets: set[str] | None
) -> Render:
    if depth > TEMPLATE_DEPTH_MAX:
        faults.append((at, ExpressionError("…", f"nested deeper than {TEMPLATE_DEPTH_MAX} levels")))
        return lambda context: None
    if isinstance(template, str) and _OPEN in template:
        return _compile_string(template, at, faults, expressions, secrets)
    if isinstance(template, dict):
        members = [
            (key, _compile(value, f"{at}.{key}", faults, depth + 1, expressions, secrets))
            for key, value in template.items()
        ]
        return lambda context: {key: render(context) for key, render in members}
    if isinstance(template, list):
        items = [
            _compile(value, f"{at}[{index}]", faults, depth + 1, expressions, secrets)
            for index, value in enumerate(template)
        ]
        return lambda context: [render(context) for render in items]
    return lambda context: template


def _compile_string(text: str, at: str, faults: Faults, found: list[Expression], secrets: set[str] | None) -> Render:
    try:
        parts = _placeholders(text, secrets)
    except ExpressionError as error:
        faults.append((at, error))
        return lambda context: None
    placeholders = [part for part in parts if not isinstance(part, str)]
    around = "".join(part for part in parts if isinstance(part, str))
    found += [part for part in placeholders if isinstance(part, Expression)]
    if len(placeholders) == 1 and not around.strip():
        return placeholders[0].search
    return lambda context: "".join([part if isinstance(part, str) else _spelled(part, context) for part in parts])


def _spelled(expression: Expression | SecretRef, context: Context) -> str:
    value = expression.search(context)
    if isinstance(expression, SecretRef):
        return str(value)
    try:
        if type(value) in (dict, list):
            weigh(value)
        text = as_text(value)
        charge_text(len(text))
    except (OverBudgetError, ValueError) as error:
        raise ExpressionError(expression.source, str(error)) from None
    return text


def _placeholders(text: str, secrets: set[str] | None) -> list[str | Expression | SecretRef]:
    """``text`` cut into plain text and compiled expressions.

    Raises:
        ExpressionError: a placeholder is not closed, or what it holds does not compile.
    """
    parts: list[str | Expression | SecretRef] = []
    position = 0
    while (start := text.find(_OPEN, position)) >= 0:
        if start > position:
            parts.append(text[position:start])
        placeholder, position = _shortest_expression(text, start + len(_OPEN), secrets)
        parts.append(placeholder)
    if position < len(text):
        parts.append(text[position:])
    return parts


def _shortest_expression(text: str, start: int, secrets: set[str] | None) -> tuple[Expression | SecretRef, int]:
    # ``}}`` also ends two nested multiselect hashes, so the shortest text that compiles is the expression.
    first_error: ExpressionError | None = None
    end = text.find(_CLOSE, start)
    for _ in range(_CLOSINGS_MAX):
        if not 0 <= end - start <= EXPRESSION_LENGTH_MAX:
            break
        inside = text[start:end].strip()
        if secrets is not None and (secret := SecretRef.parse(inside)) is not None:
            secrets.add(secret.name)
            return secret, end + len(_CLOSE)
        try:
            return _without_secrets(inside), end + len(_CLOSE)
        except ExpressionError as error:
            first_error = first_error or error
        end = text.find(_CLOSE, end + 1)
    raise first_error or ExpressionError(text[start:].strip(), "the placeholder '{{' is not closed by '}}'")


def as_text(value: Any) -> str:
    """``value`` inside a text: strings as they are, ``None`` as nothing, everything else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return msgspec.json.encode(value).decode()


def _fault_of(node: dict[str, Any], parent: str = "", depth: int = 1) -> str | None:
    """What the parser lets through, but would later give a value that is no JSON; ``None`` if there is nothing."""
    kind, value = node["type"], node.get("value")
    if depth > EXPRESSION_DEPTH_MAX:
        return _TOO_DEEP
    if kind == "function_expression" and value not in _JsonFunctions.FUNCTION_TABLE:
        return f"there is no function {value}()"
    if kind == "expref" and parent not in _TAKES_EXPREF:
        return "an expression reference (&…) may only stand in sort_by, min_by, max_by and map"
    if kind in ("literal", "field", "key_val_pair") and not _is_json(value):
        return f"{value!r} is no JSON value"
    inner = str(value) if kind == "function_expression" else ""
    for child in node.get("children", ()):
        if isinstance(child, dict) and (fault := _fault_of(child, inner, depth + 1)):
            return fault
    return None


def _is_json(value: Any) -> bool:
    try:
        text = msgspec.json.encode(value)
        return not deeper_than(text, TEMPLATE_DEPTH_MAX) and bool(msgspec.json.decode(text) == value)  # NaN → null
    except (TypeError, ValueError, RecursionError):
        return False


def _position_of(error: Exception) -> int | None:
    """Where the parser (``ParseError``) or the lexer (``LexerError``) stopped."""
    position = getattr(error, "lex_position", getattr(error, "lexer_position", None))
    return position if isinstance(position, int) else None


def _wrong_type(error: jmespath.exceptions.JMESPathTypeError) -> str:
    """The reference's message, without the whole value in it: that may be large, or, sharing parts, larger than memory."""
    value = error.current_value
    if isinstance(value, (list, dict)):
        error.current_value = "…"
    elif isinstance(value, str) and len(value) > 100:
        error.current_value = value[:100] + "…"
    return _one_line(error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
