"""The OpenAPI document: made from the types of the handlers, completed by what Litestar does not see.

That is the hot path, which is no handler of Litestar, and the bodies that are read as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from litestar import Request
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    Operation,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
)

from meshhook import __version__
from meshhook.api import cookies, stream_openapi
from meshhook.api.problems import CONTENT_TYPE
from meshhook.definition import SCHEMA
from meshhook.endpoint_config import EndpointConfig
from meshhook.evaluating import EvaluateWanted
from meshhook.lab.wanted import TestWanted
from meshhook.operations import OperationWanted
from meshhook.testruns import TestRunWanted
from meshhook.timetable import Timetable

_SCHEMAS: Final = "#/components/schemas/"


def config() -> OpenAPIConfig:
    """How Litestar makes and serves the document: as JSON alone, no page that would load scripts from elsewhere."""
    return OpenAPIConfig(
        title="MeshHook",
        version=__version__,
        description="Webhook-first, durable workflows on Postgres. Errors are problem documents (RFC 9457).",
        path="/openapi.json",
        render_plugins=[_Complete()],
        use_handler_docstrings=True,
        security=[{"key": []}, {"session": []}],
        components=Components(
            security_schemes={
                "session": SecurityScheme(
                    type="apiKey",
                    name=cookies.NAME,
                    security_scheme_in="cookie",
                    description="What `POST /api/v1/session` sets, for browsers; over TLS its name begins with `__Host-`.",
                ),
                "key": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="An API key (`mh_…`). Needed unless the server listens on loopback alone.",
                ),
            }
        ),
    )


@dataclass
class TakesReceipt(Operation):
    """An operation whose body holds a receipt."""

    def __post_init__(self) -> None:
        self.request_body = _body("ReceiptWrite")


@dataclass
class TakesDefinition(Operation):
    """An operation whose body is a workflow definition."""

    def __post_init__(self) -> None:
        self.request_body = _body("Definition")


@dataclass
class TakesNote(Operation):
    """An operation whose body may say something about a new version."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(required=False, content=_body("PublishWrite").content)


@dataclass
class TakesTags(Operation):
    """An operation whose body holds tags."""

    def __post_init__(self) -> None:
        self.request_body = _body("TagsWrite")


@dataclass
class TakesExpressions(Operation):
    """An operation whose body holds expressions, and what they see."""

    def __post_init__(self) -> None:
        self.request_body = _body("EvaluateWanted")


@dataclass
class TakesEndpoint(Operation):
    """An operation whose body says where an endpoint leads."""

    def __post_init__(self) -> None:
        self.request_body = _body("EndpointWrite")


@dataclass
class TakesInput(Operation):
    """An operation whose body is any JSON, or nothing."""

    def __post_init__(self) -> None:
        media_type = OpenAPIMediaType(schema=Schema())
        self.request_body = RequestBody(required=False, content={"application/json": media_type})


@dataclass
class TakesTestRun(Operation):
    """An operation whose body may say what a test run is started with."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(required=False, content=_body("TestRunWanted").content)


@dataclass
class TakesSchedule(Operation):
    """An operation whose body says what runs when."""

    def __post_init__(self) -> None:
        self.request_body = _body("ScheduleWrite")


@dataclass
class TakesEvent(Operation):
    """An operation whose body is an event."""

    def __post_init__(self) -> None:
        self.request_body = _body("EventWrite")


@dataclass
class TakesEventForRun(Operation):
    """An operation whose body is an event for one run."""

    def __post_init__(self) -> None:
        self.request_body = _body("EventForRun")


@dataclass
class TakesReason(Operation):
    """An operation whose body may say why."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(required=False, content=_body("Reason").content)


@dataclass
class TakesReplay(Operation):
    """An operation whose body may say which version."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(required=False, content=_body("ReplayWrite").content)


@dataclass
class TakesStep(Operation):
    """An operation whose body names a step."""

    def __post_init__(self) -> None:
        self.request_body = _body("ResumeWrite")


@dataclass
class TakesOperation(Operation):
    """An operation whose body says what is to be done to which runs."""

    def __post_init__(self) -> None:
        self.request_body = _body("OperationWanted")


@dataclass
class TakesNewEndpoint(Operation):
    """An operation whose body is an endpoint with its path."""

    def __post_init__(self) -> None:
        self.request_body = _body("EndpointCreate")


@dataclass
class TakesSecret(Operation):
    """An operation whose body is the value of a secret."""

    def __post_init__(self) -> None:
        self.request_body = _body("SecretWrite")


class SecretWrite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new value of a secret, and how many hours the one before still verifies signatures."""

    value: str
    overlap_hours: float = 24.0

    def __repr__(self) -> str:
        return "SecretWrite()"


@dataclass
class TakesSignIn(Operation):
    """An operation whose body proves who signs in."""

    def __post_init__(self) -> None:
        self.request_body = _body("SignInWrite")


class SignInWrite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key, or the password: one of the two."""

    key: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return "SignInWrite()"


@dataclass
class TakesPassword(Operation):
    """An operation whose body is a new password, and what allows to set it."""

    def __post_init__(self) -> None:
        self.request_body = _body("PasswordWrite")


class PasswordWrite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new password, with the setup token that the server printed, or with the old password."""

    password: str
    setup_token: str | None = None
    old: str | None = None

    def __repr__(self) -> str:
        return "PasswordWrite()"


@dataclass
class TakesTest(Operation):
    """An operation whose body says what is tested."""

    def __post_init__(self) -> None:
        self.request_body = _body("TestWanted")


@dataclass
class TakesTrial(Operation):
    """An operation whose body says which endpoint is tried, and with what."""

    def __post_init__(self) -> None:
        self.request_body = _body("TrialWanted")


class TrialWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A test delivery. ``body``: any JSON, sent as it stands here; a small document when left out."""

    endpoint: str
    body: Any = None


class EventForRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event for one run. With an `id` it counts once, however often it is sent."""

    name: str
    payload: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    id: str | None = None


class EventWrite(EventForRun, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event for every run that waits for its name and key."""

    key: str = ""


class PublishWrite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word about the new version, of 1,000 characters at most."""

    note: str | None = None


class TagsWrite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tags of a workflow."""

    tags: list[str]


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why something is done."""

    reason: str | None = None


class ReplayWrite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which version a replay gets: the one that is published, or the same one."""

    version: Literal["published", "same"] = "published"


class ResumeWrite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The step from which on a run is done again."""

    step: str


class EndpointWrite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which workflow an endpoint starts, for which methods, and what it asks of a delivery (unchanged when left out)."""

    workflow: str
    methods: list[str] = msgspec.field(default_factory=lambda: ["POST"])
    config: EndpointConfig | msgspec.UnsetType = msgspec.UNSET


class EndpointCreate(EndpointWrite, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An endpoint that is not there yet."""

    path: str


class ScheduleWrite(Timetable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What runs, and when."""

    workflow: str


class Accepted(msgspec.Struct, frozen=True):
    """A delivery is stored. ``duplicate``: an earlier one with the same key and body made the run.

    ``gathered``: the run may be that of other deliveries as well.
    """

    run_id: str
    status_url: str
    duplicate: bool
    gathered: bool | msgspec.UnsetType = msgspec.UNSET
    receipt: str | msgspec.UnsetType = msgspec.UNSET


class ReceiptWrite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A receipt to redeem, as it stood in the answer to a delivery."""

    receipt: str


class AcceptedBatch(msgspec.Struct, frozen=True):
    """What became of each event of a batch, in order: ``status`` 202 with its run, else a problem document."""

    items: list[dict[str, Any]]


class _Complete(JsonRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return msgspec.json.encode(completed(openapi_schema))


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the schemas of raw bodies and the hot path."""
    _, made = msgspec.json.schema_components(
        [
            EventWrite,
            EventForRun,
            Reason,
            ReplayWrite,
            ResumeWrite,
            OperationWanted,
            EndpointWrite,
            EndpointCreate,
            TestWanted,
            TrialWanted,
            ScheduleWrite,
            SecretWrite,
            SignInWrite,
            PasswordWrite,
            Accepted,
            AcceptedBatch,
            ReceiptWrite,
            EvaluateWanted,
            TestRunWanted,
            PublishWrite,
            TagsWrite,
        ],
        ref_template=_SCHEMAS + "{name}",
    )
    schemas = {**document["components"]["schemas"], **made, "Definition": _relocated(SCHEMA, _SCHEMAS + "Definition/")}
    return {
        **document,
        "components": {**document["components"], "schemas": schemas},
        "paths": {"/hooks/{path}": _HOOKS, **document["paths"], **stream_openapi.paths(_problem)},
    }


def _body(schema: str) -> RequestBody:
    media_type = OpenAPIMediaType(schema=Reference(ref=_SCHEMAS + schema))
    return RequestBody(required=True, content={"application/json": media_type})


def _relocated(schema: Any, root: str) -> Any:
    """A JSON Schema whose references into itself still hold when it stands below ``root``."""
    if isinstance(schema, dict):
        return {
            key: value.replace("#/", root, 1) if key == "$ref" else _relocated(value, root)
            for key, value in schema.items()
            if key != "$schema"
        }
    return [_relocated(item, root) for item in schema] if isinstance(schema, list) else schema


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {CONTENT_TYPE: {"schema": {"$ref": _SCHEMAS + "Problem"}}}}


_HOOKS: Final[dict[str, Any]] = {
    "post": {
        "operationId": "DeliverWebhook",
        "summary": "Deliver a webhook",
        "description": "Answered after the delivery is committed. Endpoints may take other methods too.",
        "security": [{}],
        "parameters": [
            {
                "name": "path",
                "in": "path",
                "required": True,
                "schema": {"type": "string"},
                "description": "May hold `/`.",
            },
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string"},
                "description": "Deliveries with one key make one run, for 24 hours unless configured otherwise.",
            },
            {
                "name": "webhook-id",
                "in": "header",
                "schema": {"type": "string"},
                "description": "The key when that is missing.",
            },
        ],
        "requestBody": {"content": {"*/*": {}}},
        "responses": {
            "202": {
                "description": "Stored.",
                "content": {
                    "application/json": {
                        "schema": {"oneOf": [{"$ref": _SCHEMAS + "Accepted"}, {"$ref": _SCHEMAS + "AcceptedBatch"}]}
                    }
                },
            },
            "200": {
                "description": "Endpoints in sync mode: what the run answered, or its output as JSON. The status may be another. "
                "Endpoints that verify Slack: its challenge.",
                "content": {"*/*": {}, "text/plain": {}},
            },
            "207": {
                "description": "Some events of a batch are stored, others refused; each item says what became of it.",
                "content": {"application/json": {"schema": {"$ref": _SCHEMAS + "AcceptedBatch"}}},
            },
            "400": _problem("No valid JSON under a JSON content type, no CloudEvent, or a key that is bad or missing."),
            "403": _problem("The endpoint takes nothing from this address."),
            "401": _problem("The endpoint asks for a proof of the sender, and this is none."),
            "404": _problem("There is no such endpoint."),
            "405": _problem("The endpoint takes other methods."),
            "409": _problem("The workflow is not published."),
            "413": _problem("The body, or the batch, is too large."),
            "415": _problem("No event format that the endpoint takes."),
            "422": _problem(
                "The key was used with another body, or the payload does not fit the schema of the endpoint."
            ),
            "429": _problem("More than the endpoint takes in a time; send again after Retry-After seconds."),
            "500": _problem("Something broke; whether it was stored is unknown."),
            "502": _problem("Endpoints in sync mode: it was stored, and its run has failed."),
            "503": _problem("Nothing was stored; send again after Retry-After seconds."),
            "504": _problem("Whether it was stored is unknown; send again with the same key."),
        },
    }
}
