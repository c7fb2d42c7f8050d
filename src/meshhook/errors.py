"""Every error of MeshHook, in one tree.

MeshHookError
 ├── ConfigError            a setting is missing or wrong
 ├── DefinitionError        a workflow definition has faults; carries all of them
 ├── EndpointConfigError    the settings of an endpoint have faults; carries all of them
 ├── ScheduleError          the timetable of a schedule has faults; carries all of them
 ├── CronError              a cron expression or a time zone that is none
 ├── ExpressionError        an expression or template failed while a run was using it
 ├── JournalError           a journal breaks the rules that every journal keeps
 ├── DatabaseError
 │    ├── Unavailable       the database can't be reached, or went away before anything was sent
 │    │    └── NoPartition  there is no place for a run of that day: a clock is far off, or nobody makes partitions
 │    ├── OutcomeUnknown    the connection broke while a commit was under way
 │    └── SchemaError       the schema in the database is not the one this version needs
 ├── VaultError             secrets can't be opened: no key, a wrong one, or a row that was changed
 │    └── UnknownSecret     the project has no secret of this name
 ├── EmbeddedPostgresError  the embedded Postgres can't be set up, started or stopped
 ├── ClientError            a call of `meshhook.client` came to nothing
 │    ├── ProblemAnswered   the server refused it, and says why
 │    ├── ServerUnreachable there was no answer
 │    └── UnexpectedAnswer  something answered that is not MeshHook
 └── Refusal                a request is refused; becomes a problem document (RFC 9457)

A message says what happened, where, and what to do next.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class MeshHookError(Exception):
    """Base of all errors that MeshHook raises on purpose."""


class ConfigError(MeshHookError):
    """A setting is missing or wrong; the message names it and where it came from."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a definition: where it is (a JSON path such as ``$.nodes[2].config.when``), a stable code, and why."""

    path: str
    code: str
    message: str


class DefinitionError(MeshHookError):
    """A definition has faults. ``faults`` holds every one that was found."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{f.path}: {f.message}" for f in faults))


class EndpointConfigError(MeshHookError):
    """The settings of an endpoint have faults. ``faults`` holds those that were found."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{f.path}: {f.message}" for f in faults))


class ScheduleError(MeshHookError):
    """The timetable of a schedule has faults. ``faults`` holds those that were found."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{f.path}: {f.message}" for f in faults))


class CronError(MeshHookError):
    """A cron expression or a time zone that is none; the message says why."""


class ExpressionError(MeshHookError):
    """An expression failed. ``expression`` is its source text, ``reason`` what went wrong.

    ``position``: at which of its characters (from 0) it can't be read on; ``None`` when that is not what is wrong with it.
    """

    def __init__(self, expression: str, reason: str, position: int | None = None) -> None:
        self.expression = expression
        self.reason = reason
        self.position = position
        super().__init__(f"{expression!r}: {reason}")


class StepTooLongError(ExpressionError):
    """A step had the processor for too long, and was stopped from outside."""


class JournalError(MeshHookError):
    """A journal breaks the rules that every journal keeps."""


class DatabaseError(MeshHookError):
    """Something went wrong between MeshHook and Postgres."""


class Unavailable(DatabaseError):
    """The database can't be reached. Nothing was written."""


class NoPartition(Unavailable):
    """There is no partition for the day in a run id: a clock is far off, or nobody makes partitions. Nothing was written."""


class OutcomeUnknown(DatabaseError):
    """The connection broke while a commit was under way: it may or may not have happened."""


class SchemaError(DatabaseError):
    """The schema in the database is not the one this version of MeshHook needs."""


class VaultError(MeshHookError):
    """Secrets can't be opened or sealed. The message never holds a value."""


class UnknownSecret(VaultError):
    """The project has no secret of these names (``names``)."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        told = ", ".join(repr(name[:100]) for name in names)
        super().__init__(f"There is no secret {told} in this project. Set it first: meshhook secret set NAME")


class EmbeddedPostgresError(MeshHookError):
    """The embedded Postgres can't be set up, started or stopped; the message says what to do."""


class ClientError(MeshHookError):
    """A call of ``meshhook.client`` came to nothing."""


@dataclass(eq=False)
class ProblemAnswered(ClientError):
    """The server refused a call. Only a 4xx or a 503 promises that nothing was stored.

    ``type`` is the address of a page that says what to do (``/problems/<name>``), ``errors`` lists faults where there may be
    several (``path``, ``code``, ``message``), ``retry_after`` are seconds, ``document`` is all that was said.
    """

    status: int
    type: str
    title: str
    detail: str
    errors: list[dict[str, object]] = field(default_factory=list)
    retry_after: float | None = None
    document: dict[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last part of ``type``, such as ``unknown-run``."""
        return self.type.rpartition("/")[2]

    def __str__(self) -> str:
        faults = "".join(f"\n  {fault.get('path')}: {fault.get('message')}" for fault in self.errors)
        return f"{self.status} {self.name}: {self.detail}{faults}"


class ServerUnreachable(ClientError):
    """There was no answer. ``maybe_done``: the request may have been carried out all the same."""

    def __init__(self, message: str, *, maybe_done: bool) -> None:
        self.maybe_done = maybe_done
        super().__init__(message)


class UnexpectedAnswer(ClientError):
    """Something answered that is not the API of MeshHook, such as a proxy; ``status`` is what it said."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"{status}: {message}")


@dataclass(eq=False)
class Refusal(MeshHookError):
    """A request is refused, and nothing of it is stored.

    ``problem`` is the name of the problem type (``/problems/<problem>``), ``detail`` one sentence for a person, ``headers``
    further response headers, ``extra`` further members of the problem document.
    """

    status: int
    problem: str
    title: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)
    extra: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.problem}: {self.detail}"
