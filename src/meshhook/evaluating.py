"""Expressions and templates evaluated for somebody who is writing them: by the code that runs workflows, within its limits. Pure.

What comes out is what a step would give: the same compiler, the same budget of work, the same bounds on what may be journaled.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from meshhook.budget import WORK_MAX, meter, spent
from meshhook.errors import ExpressionError
from meshhook.execution import checked_event
from meshhook.mapping import Faults, Render, compile_expression, compile_template, is_true
from meshhook.placeholders import Filled

EXPRESSIONS_MAX: Final = 200
CALL_WORK_MAX: Final = 4 * WORK_MAX
"""Units of work that all of a call may do together: a few seconds. What comes after is not evaluated."""

SHOWN_BYTES_MAX: Final = 1024 * 1024
"""A larger result is told by its size."""

Kind = Literal["expression", "template"]
_encode = msgspec.json.Encoder().encode


class ExpressionContext(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the expressions see. What is left out is not there: looking it up gives `null`.

    `status`, `headers` and `body` are of the response that `success` and `output` of an `http_call` look at.
    """

    input: Any = msgspec.UNSET
    trigger: Any = msgspec.UNSET
    steps: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    run: Any = msgspec.UNSET
    loop: Any = msgspec.UNSET
    status: Any = msgspec.UNSET
    headers: Any = msgspec.UNSET
    body: Any = msgspec.UNSET


class ExpressionWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One expression (text) or template (any JSON).

    `secrets`: `{{ secrets.NAME }}` may stand in the template, and stays as it is.
    """

    kind: Kind
    source: Any
    secrets: bool = False


class EvaluateWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to 200 expressions and templates, and the one context they are evaluated over."""

    expressions: list[ExpressionWanted]
    context: ExpressionContext = ExpressionContext()


class EvaluationError(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no result.

    `code`: `bad-expression` (it does not compile), `failed` (it does, and not over this context) or `not-evaluated` (the call has
    done all the work one call may). `path` is the place in a template. `position` is the character of `expression`, from 0, at
    which it can't be read on.
    """

    code: Literal["bad-expression", "failed", "not-evaluated"]
    message: str
    path: str | None = None
    expression: str | None = None
    position: int | None = None


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one expression: its `result`, or an `error`.

    `is_true` is what a condition makes of the result. One of more than 1 MiB is told by its `size_bytes` alone, and `left_out`.
    """

    ok: bool
    result: Any = None
    is_true: bool = False
    size_bytes: int = 0
    left_out: bool = False
    error: EvaluationError | None = None


def evaluate(wanted: EvaluateWanted) -> list[Evaluated]:
    """Evaluate each expression with a budget of its own, as a step has it, and all of them within ``CALL_WORK_MAX``."""
    context = {
        name: value
        for name in wanted.context.__struct_fields__
        if (value := getattr(wanted.context, name)) is not msgspec.UNSET
    }
    left, shown = CALL_WORK_MAX, 4 * SHOWN_BYTES_MAX
    answers: list[Evaluated] = []
    for one in wanted.expressions[:EXPRESSIONS_MAX]:
        if left <= 0:
            answers.append(_NOT_EVALUATED)
            continue
        answer, work = _evaluate(one, context, shown)
        left -= work
        shown -= 0 if answer.left_out else answer.size_bytes
        answers.append(answer)
    return answers


def _evaluate(wanted: ExpressionWanted, context: dict[str, Any], shown_max: int) -> tuple[Evaluated, int]:
    faults: Faults = []
    secrets: set[str] | None = set() if wanted.secrets and wanted.kind == "template" else None
    render = _compile(wanted, faults, secrets)
    if faults:
        at, fault = faults[0]
        return _failed("bad-expression", fault, f"${at}" if wanted.kind == "template" else None), 0
    seen = Filled(context, {name: f"{{{{ secrets.{name} }}}}" for name in secrets}) if secrets else context
    meter.left = WORK_MAX
    try:
        event = checked_event({"type": "step.completed", "node": "", "output": render(seen)})
    except ExpressionError as error:
        return _failed("failed", error, None), spent()
    return _done(event.body["output"], shown_max), spent()


def _compile(wanted: ExpressionWanted, faults: Faults, secrets: set[str] | None) -> Render:
    if wanted.kind == "template":
        return compile_template(wanted.source, "", faults, secrets)
    if isinstance(wanted.source, str):
        return compile_expression(wanted.source, "", faults)
    faults.append(("", ExpressionError("", "an expression is text")))
    return lambda context: None


def _done(result: Any, shown_max: int) -> Evaluated:
    size = len(_encode(result))
    if size > min(SHOWN_BYTES_MAX, shown_max):
        return Evaluated(ok=True, is_true=is_true(result), size_bytes=size, left_out=True)
    return Evaluated(ok=True, result=result, is_true=is_true(result), size_bytes=size)


def _failed(code: Literal["bad-expression", "failed"], error: ExpressionError, path: str | None) -> Evaluated:
    told = EvaluationError(
        code=code, message=error.reason, path=path, expression=error.expression, position=error.position
    )
    return Evaluated(ok=False, error=told)


_NOT_EVALUATED: Final = Evaluated(
    ok=False,
    error=EvaluationError(
        code="not-evaluated",
        message="the expressions before this one did all the work one call may do; ask for fewer at once",
    ),
)
