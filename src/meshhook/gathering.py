"""Gathering: several deliveries to an endpoint become one run, by a key. What its settings say, made ready to be applied. Pure.

*Debounce*: the run starts when nothing more has come for a while, with the last delivery. *Batch*: it starts when there are enough,
or the first has waited long enough, with all of them. How it is done: ``sql/functions/gather.sql``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec

from meshhook.errors import ExpressionError, Fault, Refusal
from meshhook.limits import key_text
from meshhook.mapping import Render, compile_expression

WAIT_MAX_S: Final = 7 * 86_400.0
BATCH_MAX: Final = 1_000
DEBOUNCE_MAX: Final = 10_000
"""Deliveries one run may supersede: each has its line in the journal."""

_Key = Annotated[
    str | None,
    msgspec.Meta(
        description="JMESPath over {input, trigger}: deliveries with the same value come together; left out, all do."
    ),
]
_Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=WAIT_MAX_S)]


class Debounce(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A run starts ``wait_s`` after the last delivery, and at most ``max_wait_s`` after the first, with the last one."""

    wait_s: _Seconds
    max_wait_s: _Seconds | None = None
    key: _Key = None

    @property
    def kind(self) -> Literal["debounce", "batch"]:
        return "debounce"

    @property
    def size_max(self) -> int:
        return DEBOUNCE_MAX

    @property
    def longest_s(self) -> float:
        """How long after its first delivery the run starts, at most."""
        return WAIT_MAX_S if self.max_wait_s is None else self.max_wait_s


class BatchByKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A run starts when ``size_max`` deliveries are there, or ``wait_s`` after the first, with all of them."""

    size_max: Annotated[int, msgspec.Meta(ge=1, le=BATCH_MAX)]
    wait_s: _Seconds
    key: _Key = None

    @property
    def kind(self) -> Literal["debounce", "batch"]:
        return "batch"

    @property
    def longest_s(self) -> float:
        """How long after its first delivery the run starts, at most."""
        return self.wait_s


Gathering = Debounce | BatchByKey


def faults_of_gathering(debounce: Debounce | None, batch: BatchByKey | None, *, is_sync: bool) -> Iterator[Fault]:
    """What shapes alone can't tell."""
    if debounce is not None and batch is not None:
        yield Fault("$.batch", "conflict", "an endpoint has `debounce` or `batch`, not both")
    for place, gathering in (("debounce", debounce), ("batch", batch)):
        if gathering is None:
            continue
        if is_sync:
            yield Fault(
                f"$.{place}", "conflict", "nobody can wait for a run that gathers deliveries: use the mode `async`"
            )
        if gathering.key is not None:
            faults: list[tuple[str, ExpressionError]] = []
            compile_expression(gathering.key, "", faults)
            for _, error in faults:
                yield Fault(f"$.{place}.key", "expression", error.reason)
    if debounce is not None and debounce.longest_s < debounce.wait_s:
        yield Fault("$.debounce.max_wait_s", "wrong-value", "it must not be shorter than `wait_s`")


def key_of(gathering: Gathering, trigger: str) -> str:
    """What a delivery is gathered by, as text; ``trigger`` is JSON text.

    Raises:
        Refusal: 422 ``gather-key``: the expression fails on this delivery.
    """
    if gathering.key is None:
        return "null"
    data = msgspec.json.decode(trigger)
    try:
        return key_text(_compiled(gathering.key)({"input": data["body"], "trigger": data}))
    except ExpressionError as failure:
        raise Refusal(
            422,
            "gather-key",
            "The delivery has no key to be gathered by",
            f"The endpoint gathers deliveries by {failure.expression!r}, which fails on this one: {failure.reason}. "
            "Nothing was stored.",
        ) from None


@lru_cache(maxsize=1_000)
def _compiled(source: str) -> Render:
    faults: list[Any] = []
    return compile_expression(source, "", faults)
