"""What every part of the REST API needs: who calls, how a body is read, which problems an operation may answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from litestar.openapi.datastructures import ResponseSpec

from meshhook.api.problems import CONTENT_TYPE
from meshhook.data_keys import Keychain
from meshhook.db.connect import Database
from meshhook.errors import DefinitionError, Fault, Refusal
from meshhook.store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom a request is answered, and with what.

    ``on_change`` is to be called after every change of workflows or endpoints: the hot path then forgets what it remembers.
    ``admit`` is to be called with the project before a run is started, and refuses it like the door of the webhooks when too much
    waits. ``keep`` is how long a dedupe key is remembered, ``keep_events`` how long an event. ``keychain`` seals secrets.
    """

    database: Database
    project_id: int
    on_change: Callable[[], None]
    admit: Callable[[int], None]
    keep: timedelta
    keep_events: timedelta
    keychain: Keychain

    @property
    def store(self) -> Store:
        """What starts and moves runs."""
        return Store(self.database)


class ProblemFault(msgspec.Struct, frozen=True):
    """One fault of a definition: where it is, a stable code, and why."""

    path: str
    code: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem document (RFC 9457). The page at ``type`` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[ProblemFault] | msgspec.UnsetType = msgspec.UNSET


def told(faults: Iterable[Fault]) -> list[ProblemFault]:
    """Faults as an answer tells them."""
    return [ProblemFault(fault.path, fault.code, fault.message) for fault in faults]


def text_of(body: bytes) -> str:
    """The body as text.

    Raises:
        DefinitionError: it is not UTF-8.
    """
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise DefinitionError([Fault("$", "no-json", f"not UTF-8: {error.reason} at byte {error.start}")]) from None


_ALWAYS: Final = (400, 401, 500, 503, 504)


def problems_of(*statuses: int, always: Iterable[int] = _ALWAYS) -> Mapping[int, ResponseSpec]:
    """The problem documents an operation may answer with, next to those of any that takes parameters and asks the database."""
    return {
        status: ResponseSpec(
            Problem,
            description=HTTPStatus(status).phrase,
            media_type=CONTENT_TYPE,
            generate_examples=False,
        )
        for status in sorted({*statuses, *always})
    }


def decoded(body: bytes, type: type[T]) -> T:
    """A JSON body as a value of ``type``.

    Raises:
        Refusal: it is no JSON, or of another shape.
    """
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        raise Refusal(400, "invalid-body", "The body has the wrong shape", f"{error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid_json(str(error)) from None
    except RecursionError:
        raise invalid_json("nested too deeply") from None


def invalid_json(reason: str) -> Refusal:
    """The body says it is JSON, and is not."""
    return Refusal(400, "invalid-json", "The body is no valid JSON", f"The body is no valid JSON: {reason}.")


def not_found() -> Refusal:
    """No call has this path."""
    return Refusal(404, "not-found", "There is nothing here", "Nothing answers at this path. Check the URL.")
