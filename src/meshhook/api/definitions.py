"""What an editor asks while somebody types: is this definition valid, what does this expression give. Nothing is saved."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from meshhook import linting
from meshhook.api.openapi import TakesDefinition, TakesExpressions
from meshhook.api.room import Room
from meshhook.api.shared import Caller, ProblemFault, decoded, problems_of, text_of, told
from meshhook.errors import DefinitionError, Refusal
from meshhook.evaluating import EXPRESSIONS_MAX, Evaluated, EvaluateWanted
from meshhook.lint import Advice
from meshhook.naming import is_name
from meshhook.side_process import SideProcess
from meshhook.side_work import ToEvaluate


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a definition (`errors`), and what is allowed in it and may still be a mistake (`warnings`)."""

    valid: bool
    errors: list[ProblemFault]
    warnings: list[Advice]


class Evaluation(msgspec.Struct, frozen=True):
    """What became of each expression, in order."""

    items: list[Evaluated]


@post(
    "/api/v1/definitions/validate",
    status_code=200,
    summary="Check a definition",
    operation_class=TakesDefinition,
    responses=problems_of(408, 411, 413),
)
async def validate(
    caller: NamedDependency[Caller],
    side: NamedDependency[SideProcess],
    room: NamedDependency[Room],
    request: Request[Any, Any, Any],
    workflow: Annotated[
        str | None,
        QueryParameter(description="Its workflow, if it has one: then warnings tell what lies around it as well."),
    ] = None,
) -> Validation:
    """By the validator that saving and publishing use; nothing is saved. Up to 200 faults are told, with their JSON path.

    Warnings are told when there is no fault.
    """
    try:
        text = text_of(await request.body())
    except DefinitionError as error:
        return Validation(valid=False, errors=told(error.faults), warnings=[])
    found = await side.check(text)
    warnings = found.warnings
    if workflow is not None and is_name(workflow) and not found.faults:
        async with room.taken():
            warnings = await linting.advice(caller.database, caller.project_id, workflow, text)
    return Validation(valid=not found.faults, errors=told(found.faults), warnings=warnings)


@post(
    "/api/v1/expressions/evaluate",
    status_code=200,
    summary="Evaluate expressions and templates",
    operation_class=TakesExpressions,
    responses=problems_of(408, 411, 413),
)
async def evaluate(side: NamedDependency[SideProcess], request: Request[Any, Any, Any]) -> Evaluation:
    """By the code and within the limits of a step: what comes out is what a step would give, or the error it would fail with."""
    body = await request.body()
    wanted = decoded(body, EvaluateWanted)
    if not 1 <= len(wanted.expressions) <= EXPRESSIONS_MAX:
        raise Refusal(
            400,
            "invalid-body",
            "The body has the wrong shape",
            f"`expressions` holds 1 to {EXPRESSIONS_MAX} of them, not {len(wanted.expressions)}.",
        )
    return Evaluation(await side.ask(ToEvaluate(msgspec.Raw(body)), list[Evaluated]))


HANDLERS = [validate, evaluate]
