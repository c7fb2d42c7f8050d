"""How the OpenAPI document tells of the live streams, which are no handlers of Litestar."""

from __future__ import annotations

from typing import Any, Final


def paths(problem: Any) -> dict[str, Any]:
    """The two paths; ``problem(description)`` makes the response of a refusal."""
    refusals = {
        "400": problem("The cursor, or a parameter, is none of ours."),
        "401": problem("The API key is missing or opens nothing."),
        "403": problem("No key is in force, and the call comes from elsewhere."),
        "404": problem("There is no such run."),
        "405": problem("A stream is read with GET."),
        "429": problem("The project has as many watchers as one may have."),
        "500": problem("Something broke."),
        "503": problem("The server has as many watchers as it takes, or shuts down, or its database is away."),
        "504": problem("The database went away while it was asked."),
    }
    stream = {
        "description": "`text/event-stream`. The data of each event is what `GET /api/v1/runs/{id}/events` lists, and its run.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
    return {
        "/api/v1/runs/{id}/stream": {
            "get": {
                "operationId": "StreamRun",
                "summary": "Watch a run",
                "description": "Its events as they commit, from the first on; the `id` of an event is its `seq`. After the last "
                "one comes the event `end`, and the stream closes.",
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                    _after("Only events behind this `seq`.", {"type": "integer", "minimum": 0, "maximum": 2**31 - 2}),
                    _LAST_ID,
                ],
                "responses": {
                    "200": stream,
                    "204": {"description": "The run has ended, and all was told."},
                    **refusals,
                },
            }
        },
        "/api/v1/lab/tests/{id}/stream": {
            "get": {
                "operationId": "StreamTest",
                "summary": "Watch a test",
                "description": "What it tells (docs/concurrency/events.md), from the first event on; the `id` of an event is "
                "its `n`. After the last one comes the event `end`, and the stream closes.",
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                    _after("Only events behind this `n`.", {"type": "integer", "minimum": 0, "maximum": 2**31 - 2}),
                    _LAST_ID,
                ],
                "responses": {
                    "200": {
                        "description": "`text/event-stream`.",
                        "content": {"text/event-stream": {"schema": {"type": "string"}}},
                    },
                    **refusals,
                    "404": problem("There is no such test."),
                },
            }
        },
        "/api/v1/stream": {
            "get": {
                "operationId": "StreamProject",
                "summary": "Watch a project",
                "description": "Events of all its runs as they commit, from now on or from a cursor on. `lagged`: you read too "
                "slowly, and what you missed follows. `reset`: what comes behind your cursor is forgotten; list the runs.",
                "parameters": [
                    _several("workflow", "Only runs of these workflows."),
                    _several("status", "Only events of commits after which the run stood so."),
                    _several("type", "Only events of these types."),
                    _after("`id` of the last event you have.", {"type": "string"}),
                    _LAST_ID,
                ],
                "responses": {"200": stream, **refusals},
            }
        },
    }


def _after(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": "after", "in": "query", "description": description, "schema": schema}


def _several(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": f"{description} Several, with commas between them.",
        "schema": {"type": "string"},
    }


_LAST_ID: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "What a browser sends when it connects again; goes before `after`.",
    "schema": {"type": "string"},
}
