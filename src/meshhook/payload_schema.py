"""What a payload must look like: a JSON Schema (2020-12) of an endpoint, compiled once and checked within a time bound.

Schemas and payloads both come from outside, and either can make checking slow without end: a regular expression that
backtracks, references that double, a long list whose items must differ. No subset of schemas is safe and still useful, so the
check itself is bounded: a timer interrupts it, inside a regular expression too. A payload that could not be checked in time is
refused; so is a schema that can't be checked against the smallest payloads.

The timer is the process's own (``ITIMER_VIRTUAL``), so checks are made in the main thread, where the event loop runs. It counts
CPU time: on a machine that is busy with other things, no payload is refused for what is not its fault.
"""

from __future__ import annotations

import gc
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, Final, TypeVar

import jsonschema.exceptions
import msgspec
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from meshhook.errors import Fault, Refusal
from meshhook.jsontext import deeper_than

T = TypeVar("T")

SCHEMA_BYTES_MAX: Final = 64 * 1024
SCHEMA_DEPTH_MAX: Final = 40
FAULTS_MAX: Final = 20
_MESSAGE_MAX: Final = 200
_COMPILE_S_MAX: Final = 0.5
_AGAIN_S: Final = 0.01
_S_MIN: Final = 1e-4  # a timer of no time would never strike
_REFERENCES: Final = ("$ref", "$dynamicRef")
_PROBES: Final[tuple[Any, ...]] = (None, "", 0, [], {}, [0], {"a": 0})


class TooSlow(Exception):
    """The time bound of a check was reached."""


class PayloadSchema:
    """A compiled schema.

    Args:
        schema: any JSON value; valid, small, and without references to anywhere else (see ``faults_of_schema``).
    """

    def __init__(self, schema: Any) -> None:
        self._validator = _validator(schema)

    def check(self, payload: Any, *, check_s: float) -> None:
        """Let a payload pass, or tell what is wrong with it; takes ``check_s`` at most.

        Raises:
            Refusal: 422 ``invalid-payload`` with the first faults, or 422 ``payload-too-complex``.
        """
        try:
            faults = within(check_s, lambda: list(islice(self._validator.iter_errors(payload), FAULTS_MAX + 1)))
        except (TooSlow, RecursionError):
            raise _too_complex() from None
        if faults:
            raise _invalid(faults)


def faults_of_schema(schema: Any) -> list[Fault]:
    """Everything that keeps ``schema`` from being used, with paths from ``$``; empty when it can be used."""
    text = msgspec.json.encode(schema)
    if len(text) > SCHEMA_BYTES_MAX:
        return [Fault("$", "too-large", f"a schema may have {SCHEMA_BYTES_MAX} bytes; this one has {len(text)}")]
    if deeper_than(text, SCHEMA_DEPTH_MAX):
        return [Fault("$", "too-deep", f"a schema may nest {SCHEMA_DEPTH_MAX} levels")]
    if not isinstance(schema, dict | bool):
        return [Fault("$", "wrong-value", "a schema is an object, true or false")]
    try:
        return within(_COMPILE_S_MAX, lambda: list(islice(_faults(schema), FAULTS_MAX)))
    except (TooSlow, RecursionError):
        return [Fault("$", "too-complex", "checking even the smallest payloads takes too long: do its references end?")]


def within(seconds: float, do: Callable[[], T]) -> T:
    """What ``do`` returns, when it does so in time. Interrupts anything that runs Python or a regular expression.

    Raises:
        TooSlow: it did not, or there was no time left at all.
    """
    if seconds < _S_MIN:
        raise TooSlow
    armed = True

    def interrupt(*_: object) -> None:
        if armed:
            raise TooSlow

    before = signal.signal(signal.SIGVTALRM, interrupt)
    collecting = gc.isenabled()
    gc.disable()  # nothing is swallowed more reliably than what strikes in somebody's callback of the collector
    try:
        # Again and again: should it strike where exceptions are swallowed (a destructor), the next one does it.
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _AGAIN_S)
        try:
            return do()
        finally:
            armed = False
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        if collecting:
            gc.enable()


def _validator(schema: Any) -> Draft202012Validator:
    return Draft202012Validator(schema, registry=Registry())  # an empty registry: nothing is ever fetched


def _faults(schema: Any) -> Iterator[Fault]:
    found = list(_own_faults(schema, "$"))
    yield from found
    if found:
        return
    meta_validator = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    wrong = list(meta_validator.iter_errors(schema))
    for error in wrong:
        yield Fault(error.json_path, "wrong-value", _short(error.message))
    if not wrong:
        validator = _validator(schema)
        for probe in _PROBES:
            list(validator.iter_errors(probe))


def _own_faults(value: Any, path: str, root: Any = None) -> Iterator[Fault]:
    """What a schema may hold by the standard, and not here."""
    root = value if root is None else root
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _own_faults(item, f"{path}[{index}]", root)
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        place = f"{path}.{name}" if re.fullmatch(r"[A-Za-z0-9_$-]+", name) else f"{path}['{name}']"
        if name in ("$id", "$schema", "$vocabulary"):
            if isinstance(inner, str) and (name != "$schema" or "2020-12" not in inner):
                yield Fault(
                    place, "unsupported", f"{name} is not supported; a schema is of draft 2020-12 and stands alone"
                )
        elif name in _REFERENCES and isinstance(inner, str):
            yield from _faults_of_reference(inner, place, root)
        elif name == "pattern" and isinstance(inner, str):
            yield from _faults_of_pattern(inner, place)
        elif name == "patternProperties" and isinstance(inner, dict):
            for pattern in inner:
                yield from _faults_of_pattern(pattern, place)
            yield from _own_faults(inner, place, root)
        elif name not in ("const", "enum", "default", "examples"):  # those hold data, not schemas
            yield from _own_faults(inner, place, root)


def _faults_of_reference(reference: str, place: str, root: Any) -> Iterator[Fault]:
    if not reference.startswith("#"):
        yield Fault(place, "remote-reference", "a reference must stay in the schema: it begins with #")
        return
    resource = DRAFT202012.create_resource(root)
    with suppress(Unresolvable):
        Registry().with_resource("", resource).resolver().lookup(reference)
        return
    yield Fault(place, "dangling-reference", "there is nothing at the place it refers to")


def _faults_of_pattern(pattern: str, place: str) -> Iterator[Fault]:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        yield Fault(place, "bad-pattern", _short(f"{pattern!r} is no regular expression here: {error}"))


def _invalid(found: list[jsonschema.exceptions.ValidationError]) -> Refusal:
    faults = [
        {"path": error.json_path, "code": str(error.validator or "false"), "message": _short(error.message)}
        for error in found[:FAULTS_MAX]
    ]
    more = "" if len(found) <= FAULTS_MAX else "; there are more"
    return Refusal(
        422,
        "invalid-payload",
        "The payload is not what the endpoint takes",
        _short(f"{faults[0]['path']}: {faults[0]['message']}") + f" All faults are listed under `errors`{more}."
        " Nothing was stored.",
        extra={"errors": faults},
    )


def _too_complex() -> Refusal:
    return Refusal(
        422,
        "payload-too-complex",
        "The payload could not be checked in time",
        "Checking it against the schema of this endpoint took longer than it may. Nothing was stored.",
    )


def _short(text: str) -> str:
    return text if len(text) <= _MESSAGE_MAX else text[: _MESSAGE_MAX - 1] + "…"
