"""What of a definition has to be changed before it can be tested, and what cannot be tested at all. Pure.

A test must reach nobody outside, must be over soon, and has no secrets. So calls go to the sink, long waits are made short, secrets
are replaced by made-up texts. Everything that was changed is told, in words that stand in the report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from meshproof.scenarios import SINK

SHORT_S: Final = 2.0
"""So long is a wait at most."""
SCRIPT_HEADER: Final = "sink-script"
SECRET: Final = re.compile(r"\{\{\s*secrets\.\w+\s*\}\}")
MADE_UP: Final = "made-up-secret"
ADDRESS: Final = re.compile(r"https?://([^/{}?#\s]+)([/?].*)?", re.DOTALL)
RUN_ONLY: Final = re.compile(r"\brun\b|\bheaders\b|\btrigger\b(?!\.(?:body|method|path|query|content_type)\b)")
"""What is another one in every run: its own id, and headers with the id of the delivery."""


class CannotTestError(ValueError):
    """This definition cannot be tested; the message says which part of it, and what to do."""


@dataclass(frozen=True)
class Adapted:
    """A definition as it is tested."""

    definition: dict[str, Any]
    changes: tuple[str, ...]
    """What was changed, a sentence each."""
    waits: int
    """How many nodes wait, each for `SHORT_S` at most."""
    varies: str
    """Why two runs of one body may end differently, and both rightly; empty where they may not."""


@dataclass
class _Work:
    calls: str
    changes: list[str] = field(default_factory=list)
    waits: int = 0
    varies: list[str] = field(default_factory=list)


def adapt(definition: Any, calls: str) -> Adapted:
    """The definition as it can be tested; `calls` is what every call is answered, as a script of the sink.

    Raises CannotTestError.
    """
    if not isinstance(definition, dict) or not isinstance(definition.get("nodes"), list):
        raise CannotTestError("A workflow is an object with nodes and edges, as docs/reference/definition.md says.")
    made, work = deepcopy(definition), _Work(calls)
    for node in nodes(made):
        _adapt_node(node, work)
    _adapt_settings(made, work)
    if any(RUN_ONLY.search(text) for node in nodes(made) for text in texts(node.get("config"))):
        work.varies.append("it reads its run or its headers, which are others in every run")
    return Adapted(made, tuple(work.changes), work.waits, work.varies[0] if work.varies else "")


def nodes(definition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node, those in loops too. Raises CannotTestError where one is none."""
    todo = [definition]
    while todo:
        for node in todo.pop().get("nodes") or []:
            if not isinstance(node, dict) or not isinstance(node.get("config", {}), dict):
                raise CannotTestError(
                    "A node is an object with id, type and config, as docs/reference/definition.md says."
                )
            yield node
            if node.get("type") == "loop" and isinstance(body := node.get("config", {}).get("body"), dict):
                todo.append(body)


def texts(value: Any) -> Iterator[str]:
    """Every text in a value; the bodies of loops are left to their nodes."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key != "body" or not (isinstance(item, dict) and "nodes" in item):
                yield from texts(item)


def _adapt_node(node: dict[str, Any], work: _Work) -> None:
    name, config = node.get("id", "?"), node.get("config", {})
    match node.get("type"):
        case "http_call":
            _adapt_call(name, config, work)
        case "delay":
            _shorten(name, config, work)
        case "wait_event":
            config["timeout_s"] = min(SHORT_S, float(config.get("timeout_s", SHORT_S)))
            work.waits += 1
            work.changes.append(f"{name}: no event comes; it goes on by its time-out, after {config['timeout_s']:g} s.")
            work.varies.append(f"{name} waits for an event")
        case "sub_workflow":
            raise CannotTestError(
                f"{name} starts another workflow, which is not there in a test. Test that one by itself, or put its nodes in here."
            )
        case "join" if config.get("mode") == "any":
            work.varies.append(f"{name} takes whichever comes first")
    if "timeout_s" in node:
        work.varies.append(f"{name} may only take so long")


def _adapt_call(name: str, config: dict[str, Any], work: _Work) -> None:
    url = str(config.get("url", ""))
    host, rest = found.groups() if (found := ADDRESS.fullmatch(url)) else ("", None)
    config["url"] = f"{SINK}/{host}{rest or ''}" if host else f"{SINK}/{name}"
    config.pop("auth", None)
    headers = {key: value for key, value in (config.get("headers") or {}).items() if key.lower() != SCRIPT_HEADER}
    config["headers"] = {key: _without_secrets(name, value) for key, value in headers.items()}
    config["headers"][SCRIPT_HEADER] = work.calls
    for part in ("url", "query", "json", "form", "text"):
        if part in config:
            config[part] = _without_secrets(name, config[part])
    if "hang" in work.calls:
        config["timeout_s"] = min(SHORT_S, config.get("timeout_s", SHORT_S))
    retry = config.get("retry")
    if isinstance(retry, dict):
        for part in ("backoff_s", "backoff_max_s"):
            if isinstance(retry.get(part), int | float):
                retry[part] = min(SHORT_S, retry[part])
    elsewhere = f", not to {host}" if host else ""
    work.changes.append(f"{name}: its call goes to the sink{elsewhere}, and is answered {work.calls!r} there.")
    work.varies.append(f"{name} makes a call")


def _without_secrets(name: str, value: Any) -> Any:
    if isinstance(value, str):
        made = SECRET.sub(MADE_UP, value)
        if re.search(r"\bsecrets\.", made):
            raise CannotTestError(f"{name} computes with a secret ({value[:80]}), and a test has none.")
        return made
    if isinstance(value, list):
        return [_without_secrets(name, item) for item in value]
    if isinstance(value, dict):
        return {key: _without_secrets(name, item) for key, item in value.items()}
    return value


def _shorten(name: str, config: dict[str, Any], work: _Work) -> None:
    work.waits += 1
    seconds = config.get("seconds")
    if isinstance(seconds, int | float) and seconds <= SHORT_S:
        return
    said = f"for {seconds:g} s" if isinstance(seconds, int | float) else "as long as it computes"
    config.pop("until", None)
    config["seconds"] = SHORT_S
    work.changes.append(f"{name}: it waits for {SHORT_S:g} s, not {said}.")


def _adapt_settings(definition: dict[str, Any], work: _Work) -> None:
    settings = definition.get("settings")
    if not isinstance(settings, dict):
        return
    slow = bool(work.waits or work.varies)
    for name, why in (
        ("rate", "the runs of a test would stand in line"),
        ("concurrency", "the runs of a test would stand in line"),
    ):
        if name in settings and (name == "rate" or slow):
            del settings[name]
            work.changes.append(f"settings.{name} is left out: {why}.")
    limit = settings.get("concurrency")
    if isinstance(limit, dict) and limit.get("strategy", "queue") != "queue":
        work.varies.append("its limit cancels or rejects runs")
    if "timeout_s" in settings or "queue_ttl_s" in settings:
        work.varies.append("a run of it may only take so long")
