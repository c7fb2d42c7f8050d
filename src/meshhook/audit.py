"""The audit log: who changed what, when, and who used which secret. It is append-only in the database itself.

Whoever changes something calls ``record`` inside the transaction of the change: both happen, or neither. Who acts is set once at
the edge, by ``acting_as``: the API knows the key, the command line its user, a process its own name.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final

import msgspec

from meshhook.db.connect import Connection, Database, Row
from meshhook.errors import Refusal

PAGE_MAX: Final = 500
_ID_MAX: Final = 2**63 - 1
_actor: ContextVar[str] = ContextVar("meshhook_actor", default="meshhook")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit log. ``detail`` never holds the value of a secret."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, newest first. ``before`` asks for the next page; ``null`` when there is none."""

    items: list[Entry]
    before: int | None


def actor() -> str:
    """Who acts: ``key:<name>``, ``password`` (whoever knows it), ``local`` (no key was needed), ``cli:<user>``, ``worker:<name>``,
    ``api:<name>``, or ``anybody``.
    """
    return _actor.get()


@contextlib.contextmanager
def acting_as(who: str) -> Iterator[None]:
    """What is recorded in this block is done by ``who``."""
    token = _actor.set(who)
    try:
        yield
    finally:
        _actor.reset(token)


def cli_actor() -> str:
    """Whoever sits at the command line."""
    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"cli:{os.getuid()}"


async def record(
    connection: Connection[Row],
    project_id: int | None,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write one entry in the transaction of ``connection``, as whoever acts now.

    Args:
        project_id: ``None`` for what concerns the whole installation. action: such as ``secret.set``: what, then what was done
            to it. subject: its name. detail: small, JSON, and never a value of a secret.
    """
    await connection.execute(
        "INSERT INTO meshhook.audit_log (project_id, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5::json)",
        project_id,
        actor(),
        action,
        subject,
        msgspec.json.encode(detail or {}).decode(),
    )


async def entries(
    database: Database,
    project_id: int,
    *,
    action: str | None = None,
    subject: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> Page:
    """What was done in a project and in the whole installation, newest first.

    Args:
        action: only this one, or every one that begins with it and a dot (``secret``). subject: only about this.
        before: only entries with a smaller id. limit: entries a page, at most ``PAGE_MAX``.

    Raises:
        Refusal: an argument is out of bounds.
    """
    if not 1 <= limit <= PAGE_MAX or not (before is None or 1 <= before <= _ID_MAX):
        raise Refusal(
            400, "bad-request", "The request has faults", f"limit is 1 to {PAGE_MAX}, before the id of an entry."
        )
    if "\0" in (action or "") or "\0" in (subject or ""):
        return Page(items=[], before=None)  # no text in Postgres holds it
    rows = await database.read(
        """
        SELECT id, at, actor, action, subject, detail FROM meshhook.audit_log
        WHERE (project_id = $1 OR project_id IS NULL) AND id < $2
          AND ($3::text IS NULL OR action = $3 OR starts_with(action, $3 || '.'))
          AND ($4::text IS NULL OR subject = $4)
        ORDER BY id DESC LIMIT $5
        """,
        project_id,
        before or _ID_MAX,
        action,
        subject,
        limit + 1,
    )
    found = [Entry(**{**row, "detail": msgspec.json.decode(row["detail"])}) for row in rows[:limit]]
    return Page(items=found, before=found[-1].id if len(rows) > limit else None)
