"""Every call of the API, described once for both clients.

Written by `make client` out of the OpenAPI document; a test compares it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from meshhook.client.answers import (
    Accepted,
    Alive,
    Begun,
    Checkup,
    Comparison,
    ControlSent,
    DeadLetterDetail,
    DeadLetterPage,
    DeliveryPage,
    Endpoint,
    Endpoints,
    Evaluation,
    EventPage,
    KeySet,
    LabStanding,
    Lanes,
    NextTicks,
    Operation,
    OperationPage,
    Overview,
    Page,
    Preview,
    PublishedVersion,
    Ready,
    Redeemed,
    RunDefinition,
    RunDetail,
    RunPage,
    SavedWorkflow,
    Schedule,
    Schedules,
    Secret,
    Secrets,
    Session,
    Statistics,
    StepDetail,
    StepPage,
    Test,
    TestRunBegun,
    Tests,
    Told,
    Trial,
    Validation,
    VersionDetail,
    Versions,
    Why,
    Workflow,
    WorkflowDetail,
    Workflows,
    WorkflowsStatistics,
)
from meshhook.client.operation import Answer, Event, Json, call, stream


class Calls:
    """Every call of the API, in the order of the OpenAPI document."""

    @call("POST", "/hooks/{path}", headers=("idempotency_key", "webhook_id"), whole="body", raw=True)
    def deliver_webhook(
        self,
        path: str,
        body: Any,
        *,
        idempotency_key: str | None = None,
        webhook_id: str | None = None,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Deliver a webhook.

        Answered after the delivery is committed. Endpoints may take other methods too.
        """

    @call("GET", "/api/v1/workflows/{name}")
    def get_workflow(self, name: str) -> WorkflowDetail:
        """Read a workflow and its draft.

        One workflow with its draft. `ETag` is that of the draft: send it back with `If-Match` to change this very
        draft.
        """

    @call("PUT", "/api/v1/workflows/{name}", query=("faulty",), headers=("if_match", "if_none_match"), whole="body")
    def save_draft(
        self,
        name: str,
        body: Json,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        faulty: bool | None = None,
    ) -> SavedWorkflow:
        """Save the draft of a workflow.

        The body is a workflow definition. Every fault is reported at once, with its JSON path; then nothing is saved.

        With `faulty=true` unfinished work is kept: the draft is saved all the same, and `errors` lists the faults. It
        can't be
        published before they are gone. `warnings` hold what may be a mistake; nothing is refused for it.
        """

    @call("DELETE", "/api/v1/workflows/{name}")
    def delete_workflow(self, name: str) -> None:
        """Delete a workflow.

        Nothing starts it any more: endpoints answer 409, schedules pass. Runs that live go on, its name stays taken,
        and it can be
        restored.
        """

    @call("GET", "/api/v1/workflows/{name}/versions")
    def list_versions(self, name: str) -> Versions:
        """List the versions of a workflow.

        Every version of a workflow, newest first.
        """

    @call("POST", "/api/v1/workflows/{name}/versions")
    def publish(self, name: str, *, note: str | UnsetType | None = UNSET) -> PublishedVersion:
        """Publish the draft.

        Makes the draft the next immutable version, which runs accepted from now on get (201). The body may hold a
        `note` on it.

        When the draft is what is published already, nothing changes and that version is the answer (200).
        """

    @call("GET", "/api/v1/workflows", query=("tag", "deleted"))
    def list_workflows(self, *, tag: str | None = None, deleted: bool | None = None) -> Workflows:
        """List workflows.

        Every workflow of the project, by name.
        """

    @call("GET", "/api/v1/workflows/{name}/versions/{number}")
    def get_version(self, name: str, number: int) -> VersionDetail:
        """Read one version.

        One version with its definition.
        """

    @call("GET", "/api/v1/schemas/definition.json")
    def get_schema(self) -> dict[str, Any]:
        """The JSON Schema of definitions.

        What `meshhook workflow schema` prints.
        """

    @call("PUT", "/api/v1/workflows/{name}/tags")
    def tag_workflow(self, name: str, *, tags: str | Sequence[str]) -> Workflow:
        """Tag a workflow.

        The workflow has these tags from now on, and no others: 20 at most, each of 40 characters at most.
        """

    @call("POST", "/api/v1/workflows/{name}/restore")
    def restore_workflow(self, name: str) -> Workflow:
        """Restore a workflow.

        Takes a deleted workflow back as it was, publication included. One that is not deleted stays as it is.
        """

    @call("POST", "/api/v1/workflows/{name}/runs", headers=("idempotency_key",), whole="body")
    def start_run(self, name: str, body: Any = UNSET, *, idempotency_key: str | None = None) -> Accepted:
        """Start a run by hand.

        The body is the `input` of the run: any JSON, or nothing. Answered when the run is stored, not when it is done.
        """

    @call("POST", "/api/v1/workflows/{name}/test-runs")
    def start_test_run(
        self,
        name: str,
        *,
        input: Any = UNSET,
        trigger: Any = UNSET,
        run_id: str | UnsetType | None = UNSET,
        definition: Any = UNSET,
        pins: Any = UNSET,
    ) -> TestRunBegun:
        """Try the draft.

        A real run of the draft, or of a `definition`. Answered when it is stored, not when it is done.

        It waits for no limit of the workflow, and is no dead letter when it fails. What it calls is called: pin a node
        to keep it from
        doing its work.
        """

    @call("GET", "/api/v1/schedules/{name}")
    def get_schedule(self, name: str) -> Schedule:
        """Read a schedule.

        What it was told, and where it stands.
        """

    @call("PUT", "/api/v1/schedules/{name}")
    def save_schedule(
        self,
        name: str,
        *,
        workflow: str,
        cron: str | UnsetType | None = UNSET,
        every_s: int | UnsetType | None = UNSET,
        timezone: str | UnsetType = UNSET,
        input: Any = UNSET,
        overlap: Literal["allow", "queue", "skip"] | UnsetType = UNSET,
        missed: Literal["all", "once", "skip"] | UnsetType = UNSET,
        missed_max: int | UnsetType = UNSET,
        grace_s: int | UnsetType = UNSET,
        jitter_s: int | UnsetType = UNSET,
        starts_at: datetime | str | UnsetType | None = UNSET,
        ends_at: datetime | str | UnsetType | None = UNSET,
    ) -> Schedule:
        """Make or change a schedule.

        From now on the workflow runs by the clock. What is left out of the body has its default, whatever it was
        before.
        """

    @call("DELETE", "/api/v1/schedules/{name}")
    def delete_schedule(self, name: str) -> None:
        """Delete a schedule.

        Its runs stay, and those that live go on.
        """

    @call("GET", "/api/v1/schedules")
    def list_schedules(self) -> Schedules:
        """List schedules.

        Every schedule of the project, by name.
        """

    @call("GET", "/api/v1/schedules/{name}/next", query=("count", "after"))
    def get_next(self, name: str, *, count: int | None = None, after: datetime | str | None = None) -> NextTicks:
        """Read the next ticks of a schedule.

        When it will tick, paused or not: on the clock of its time zone, and in UTC.
        """

    @call("POST", "/api/v1/schedules/{name}/pause")
    def pause_schedule(self, name: str) -> Schedule:
        """Pause a schedule.

        It starts nothing until it is resumed; what passes meanwhile is not made up for.
        """

    @call("POST", "/api/v1/schedules/{name}/resume")
    def resume_schedule(self, name: str) -> Schedule:
        """Resume a schedule.

        It goes on with the next tick after now.
        """

    @call("GET", "/api/v1/endpoints")
    def list_endpoints(self) -> Endpoints:
        """List endpoints.

        Every endpoint of the project, by path.
        """

    @call("POST", "/api/v1/endpoints")
    def create_endpoint(
        self,
        *,
        workflow: str,
        path: str,
        methods: str | Sequence[str] | UnsetType = UNSET,
        config: Json | UnsetType = UNSET,
    ) -> Endpoint:
        """Make an endpoint.

        From now on `POST /hooks/{path}` starts a run of the workflow. What is there already is not touched.
        """

    @call("GET", "/api/v1/endpoints/{path}")
    def get_endpoint(self, path: str) -> Endpoint:
        """Read an endpoint.

        Where it leads, and what it asks of a delivery. Settings hold names of secrets, never the secrets.
        """

    @call("PUT", "/api/v1/endpoints/{path}")
    def save_endpoint(
        self,
        path: str,
        *,
        workflow: str,
        methods: str | Sequence[str] | UnsetType = UNSET,
        config: Json | UnsetType = UNSET,
    ) -> Endpoint:
        """Make or change an endpoint.

        From now on `POST /hooks/{path}` starts a run of the workflow. Without `config` what it asks for stays as it is.
        """

    @call("DELETE", "/api/v1/endpoints/{path}")
    def delete_endpoint(self, path: str) -> None:
        """Take an endpoint away.

        Nothing comes in there any more. Its runs stay, and those that live go on.
        """

    @call(
        "GET",
        "/api/v1/runs",
        query=("status", "workflow", "endpoint", "test", "since", "until", "q", "cursor", "limit"),
    )
    def list_runs(
        self,
        *,
        status: Literal["queued", "running", "waiting", "paused", "completed", "failed", "cancelled"]
        | Sequence[Literal["queued", "running", "waiting", "paused", "completed", "failed", "cancelled"]]
        | None = None,
        workflow: str | Sequence[str] | None = None,
        endpoint: str | None = None,
        test: bool | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        q: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> RunPage:
        """List runs, newest first.

        A page may be short, even empty, and still have a `next` (`cut_short`): go on with it until it is `null`.
        """

    @call("GET", "/api/v1/runs/{id}")
    def get_run(self, id: str) -> RunDetail:
        """Read a run.

        Where a run stands, what started it, and what came of it.
        """

    @call("GET", "/api/v1/runs/{id}/definition")
    def get_run_definition(self, id: str) -> RunDefinition:
        """Read what a run runs.

        The definition that the run is pinned to: that of its version, or what a test run was started with.
        """

    @call("GET", "/api/v1/runs/{id}/events", query=("after", "limit"))
    def get_events(self, id: str, *, after: int | None = None, limit: int | None = None) -> EventPage:
        """Read the journal of a run.

        What happened to a run, event by event. A page has some MiB at most; go on with `after` = `next`.
        """

    @call("POST", "/api/v1/definitions/validate", query=("workflow",), whole="body")
    def validate(self, body: Json, *, workflow: str | None = None) -> Validation:
        """Check a definition.

        By the validator that saving and publishing use; nothing is saved. Up to 200 faults are told, with their JSON
        path.

        Warnings are told when there is no fault.
        """

    @call("POST", "/api/v1/expressions/evaluate")
    def evaluate(self, *, expressions: Json | Sequence[Json], context: Json | UnsetType = UNSET) -> Evaluation:
        """Evaluate expressions and templates.

        By the code and within the limits of a step: what comes out is what a step would give, or the error it would
        fail with.
        """

    @call("POST", "/api/v1/events")
    def send_event(
        self, *, name: str, payload: Any = UNSET, id: str | UnsetType | None = UNSET, key: str | UnsetType = UNSET
    ) -> ControlSent:
        """Send an event.

        For every run that waits for its name and key, now or later. With an `id` it counts once, however often it is
        sent.
        """

    @call("POST", "/api/v1/runs/{id}/signals")
    def signal_run(
        self, id: str, *, name: str, payload: Any = UNSET, id_: str | UnsetType | None = UNSET
    ) -> ControlSent:
        """Send an event to one run.

        For the next wait of this run for the name, whatever key it waits with.
        """

    @call("POST", "/api/v1/runs/{id}/cancel")
    def cancel_run(self, id: str, *, reason: str | UnsetType | None = UNSET) -> Told:
        """Cancel a run.

        From any live state; children it waits for are cancelled with it. How a call then under way ends, nobody will
        know.
        """

    @call("POST", "/api/v1/runs/{id}/pause")
    def pause_run(self, id: str) -> Told:
        """Pause a run.

        No step begins until it is resumed. A call under way ends, and its answer is kept.
        """

    @call("POST", "/api/v1/runs/{id}/resume")
    def resume_run(self, id: str) -> Told:
        """Resume a paused run.

        It goes on where it was.
        """

    @call("POST", "/api/v1/runs/{id}/replay", headers=("idempotency_key",))
    def replay_run(
        self, id: str, *, version: Literal["published", "same"] | UnsetType = UNSET, idempotency_key: str | None = None
    ) -> Begun:
        """Replay a finished run.

        A new run with the same trigger. The finished run stays as it is, and is no dead letter any more.
        """

    @call("POST", "/api/v1/runs/{id}/resume-from")
    def resume_run_from(self, id: str, *, step: str) -> Begun:
        """Resume a finished run from a step.

        A new run of the same version that takes over what was done before the step, and goes on from there.
        """

    @call("GET", "/api/v1/lanes")
    def list_lanes(self) -> Lanes:
        """Lanes in which runs wait or are worked on.

        A lane is the runs of a workflow with one key. `live` runs have a slot, `waiting` ones wait for it.
        """

    @call("GET", "/api/v1/dead-letters", query=("workflow", "error_type", "node", "since", "until", "cursor", "limit"))
    def list_dead_letters(
        self,
        *,
        workflow: str | None = None,
        error_type: str | None = None,
        node: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> DeadLetterPage:
        """List dead letters, newest run first.

        A page may be short, even empty, and still have a `next`: go on with it until it is `null`.
        """

    @call("GET", "/api/v1/dead-letters/{id}")
    def get_dead_letter(self, id: str) -> DeadLetterDetail:
        """Read a dead letter.

        By the id of its run: all of its error, the last step that was completed, and where to resume it from.
        """

    @call("DELETE", "/api/v1/dead-letters/{id}")
    def discard_dead_letter(self, id: str) -> None:
        """Discard a dead letter.

        The run goes off the list; it stays as it is, and can still be replayed.
        """

    @call("GET", "/api/v1/operations", query=("before", "limit"))
    def list_operations(self, *, before: str | None = None, limit: int | None = None) -> OperationPage:
        """List operations, newest first.

        Those under way, and those that are over.
        """

    @call("POST", "/api/v1/operations", by_status={200: Preview, 202: Operation})
    def begin_operation(
        self,
        *,
        kind: Literal["cancel", "discard", "replay"],
        filter: Json | UnsetType = UNSET,
        version: Literal["published", "same"] | UnsetType = UNSET,
        reason: str | UnsetType | None = UNSET,
        dry_run: bool | UnsetType = UNSET,
    ) -> Preview | Operation:
        """Replay, cancel or discard many runs.

        Workers do it in batches, once to each run, at a bounded rate. With `dry_run` nothing is done but counting.
        """

    @call("GET", "/api/v1/operations/{id}")
    def get_operation(self, id: str) -> Operation:
        """Read an operation.

        How far it is, and what was refused for which reason.
        """

    @call("DELETE", "/api/v1/operations/{id}")
    def stop_operation(self, id: str) -> Operation:
        """Stop an operation.

        It ends after the batch it is at. What was done stays done; one that is over stays as it is.
        """

    @call("GET", "/api/v1/runs/{id}/why")
    def get_why(self, id: str) -> Why:
        """Ask why a run is not running.

        Everything that holds it up, in words and with a `kind` for programs, and what to do about each.
        """

    @call("GET", "/api/v1/runs/{id}/steps", query=("within", "start", "limit", "failed"))
    def get_steps(
        self,
        id: str,
        *,
        within: str | None = None,
        start: int | None = None,
        limit: int | None = None,
        failed: bool | None = None,
    ) -> StepPage:
        """Read the steps of a run.

        Every node of the definition with what became of it: begin, end, attempts, waits, input, output, error.

        Payloads of more than 4 KiB are told by their size and beginning.
        """

    @call("GET", "/api/v1/runs/{id}/steps/{path}")
    def get_step(self, id: str, path: str) -> StepDetail:
        """Read one step of a run.

        With all of its input and output. `path` is that of a step, such as `charge`, or in a loop `each[3].charge`.
        """

    @call("GET", "/api/v1/statistics", query=("workflow", "since", "until", "buckets"))
    def get_statistics(
        self,
        *,
        workflow: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        buckets: int | None = None,
    ) -> Statistics:
        """Runs over time.

        Accepted, completed, failed and cancelled runs, and how long they took, for each of some times of equal length.

        A run counts at the time it was accepted. When `share` is below 1, figures are estimated from that part of the
        runs.
        """

    @call("GET", "/api/v1/statistics/workflows", query=("hours", "buckets"))
    def get_statistics_by_workflow(
        self, *, hours: int | None = None, buckets: int | None = None
    ) -> WorkflowsStatistics:
        """Runs of each workflow lately.

        For a list of workflows with a line each: runs and failures by time, and how long runs took over all of it.
        """

    @call("GET", "/api/v1/overview")
    def get_overview(self) -> Overview:
        """How things are.

        What waits in the project, and, for keys of the project `default`, door, workers and database. Some seconds old
        at most.
        """

    @call("GET", "/api/v1/doctor")
    def get_checkup(self) -> Checkup:
        """What is not well, and what to do.

        What `meshhook doctor` checks in the database; read every 15 seconds at most. For keys of the project `default`.
        """

    @call("GET", "/api/v1/deliveries", query=("endpoint", "outcome", "cursor", "limit"))
    def list_deliveries(
        self,
        *,
        endpoint: str,
        outcome: Literal["accepted", "refused", None] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> DeliveryPage:
        """List deliveries to an endpoint, newest first.

        Refused ones with the reason (a sample when there are many; `refused` counts all), accepted ones with their run.
        """

    @call("POST", "/api/v1/deliveries/test")
    def test_delivery(self, *, endpoint: str, body: Any = UNSET) -> Trial:
        """Send a test delivery.

        Signed as the sender would, through the real door of this server. What it starts is a run like any other.
        """

    @call("PUT", "/api/v1/secrets/{name}")
    def set_secret(self, name: str, *, value: str, overlap_hours: float | UnsetType = UNSET) -> Secret:
        """Set a secret.

        The value before still verifies signatures for `overlap_hours`. No call ever answers with a value.
        """

    @call("DELETE", "/api/v1/secrets/{name}")
    def delete_secret(self, name: str) -> None:
        """Delete a secret.

        What uses it fails from now on, within two seconds everywhere.
        """

    @call("GET", "/api/v1/secrets")
    def list_secrets(self) -> Secrets:
        """List secrets.

        Names, versions and times; never values.
        """

    @call("GET", "/api/v1/audit", query=("action", "subject", "before", "limit"))
    def list_audit(
        self,
        *,
        action: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> Page:
        """Read the audit log, newest first.

        What was done in the project, and what concerns the whole installation.
        """

    @call("POST", "/api/v1/receipts/verify")
    def verify_receipt(self, *, receipt: str) -> Redeemed:
        """Redeem a receipt.

        Whether a receipt was given out here and not changed since, and where its run stands. Needs no key.
        """

    @call("GET", "/api/v1/receipts/keys")
    def receipt_keys(self) -> KeySet:
        """Public keys of receipts.

        Every key that signed receipts here, so that they can be checked without asking. Needs no key.
        """

    @call("GET", "/api/v1/session")
    def read_session(self) -> Session:
        """Who am I.

        Whether the caller is signed in, how, to which project; and what is needed otherwise. Needs no key.
        """

    @call("POST", "/api/v1/session")
    def open_session(self, *, key: str | UnsetType | None = UNSET, password: str | UnsetType | None = UNSET) -> Session:
        """Sign in.

        With an API key, or with the password; the answer sets the cookie of a session. Programs send the key itself
        instead.
        """

    @call("DELETE", "/api/v1/session")
    def end_session(self) -> None:
        """Sign out.

        Ends the session of the cookie, if there is one, and takes the cookie away.
        """

    @call("POST", "/api/v1/session/password")
    def set_password(
        self, *, password: str, setup_token: str | UnsetType | None = UNSET, old: str | UnsetType | None = UNSET
    ) -> Session:
        """Set or change the password.

        The first one with the setup token that the server printed, later ones with the old one. Every other session
        ends.
        """

    @call("GET", "/api/v1/lab")
    def get_lab(self) -> LabStanding:
        """What the Lab can do.

        Whether concurrency tests can be begun here, which, and within which limits. For keys of the project `default`.
        """

    @call("GET", "/api/v1/lab/tests")
    def list_tests(self) -> Tests:
        """List tests.

        Every test that is kept, newest first.
        """

    @call("POST", "/api/v1/lab/tests")
    def begin_test(
        self,
        *,
        profile: Literal["concurrency", "faults", "load", "smoke"] | UnsetType = UNSET,
        scenario: str | UnsetType | None = UNSET,
        workflow: str | UnsetType | None = UNSET,
        version: int | Literal["draft"] | UnsetType | None = UNSET,
        payload: Any = UNSET,
        template: Any = UNSET,
        calls: str | UnsetType = UNSET,
        rate: float | UnsetType = UNSET,
        duration_s: float | UnsetType | None = UNSET,
        warmup_s: float | UnsetType = UNSET,
        shape: Literal["constant", "ramp", "sine", "spike"] | UnsetType = UNSET,
        levels: int | Sequence[int] | UnsetType = UNSET,
        faults: str | Sequence[str] | UnsetType = UNSET,
        workers: int | UnsetType = UNSET,
        seed: int | UnsetType = UNSET,
    ) -> Test:
        """Begin a test.

        Starts an engine of its own on an embedded Postgres in a temporary folder, drives it, and proves what became of
        each webhook.

        One at a time. It never touches the database of this server, and calls of a workflow go to a server of the
        suite.
        """

    @call("GET", "/api/v1/lab/tests/{id}")
    def get_test(self, id: str) -> Test:
        """Read a test.

        What was asked for, where it stands, its figures, and every invariant with its counterexamples.
        """

    @call("DELETE", "/api/v1/lab/tests/{id}")
    def delete_test(self, id: str) -> None:
        """Delete a test.

        With all of its evidence.
        """

    @call("POST", "/api/v1/lab/tests/{id}/cancel")
    def cancel_test(self, id: str) -> Test:
        """Cancel a test.

        It is broken off, and nothing of its engine is left; its end is seen some seconds later.
        """

    @call("GET", "/api/v1/lab/tests/{id}/report", query=("download",))
    def get_report(self, id: str, *, download: bool | None = None) -> str:
        """Read the report of a test.

        One HTML page, as `meshproof` makes it. Shown, it stands in an origin of its own and reaches nothing of this
        server.
        """

    @call("GET", "/api/v1/lab/comparison", query=("a", "b"))
    def compare_tests(self, *, a: str, b: str) -> Comparison:
        """Compare tests.

        For each figure whether B is better, worse or no different, as `meshproof compare` says: that takes five tests
        of each.
        """

    @call("GET", "/healthz")
    def healthz(self) -> Alive:
        """Is the process alive?.

        Answers as long as the process can answer at all, whatever its database does.
        """

    @call("GET", "/readyz")
    def readyz(self) -> Ready:
        """Can it take webhooks?.

        503 while it shuts down or the database can't be reached.
        """

    @call("GET", "/metrics")
    def metrics(self) -> str:
        """Metrics in Prometheus' text format.

        What this process counts, and the state of queue and database. Figures by project are for a key of the project
        `default`.
        """

    @call("GET", "/problems")
    def list_problems(self) -> str:
        """All types of problems.

        A page that links to the page of each type.
        """

    @call("GET", "/problems/{name}")
    def get_problem(self, name: str) -> str:
        """What a type of problem means.

        What happened, and what to do: the page that the `type` of a problem document leads to.
        """

    @stream("/api/v1/runs/{id}/stream", query=("after",))
    def stream_run(self, id: str, *, after: int | None = None) -> Event:
        """Watch a run.

        Its events as they commit, from the first on; the `id` of an event is its `seq`. After the last one comes the
        event `end`, and the stream closes.
        """

    @stream("/api/v1/lab/tests/{id}/stream", query=("after",))
    def stream_test(self, id: str, *, after: int | None = None) -> Event:
        """Watch a test.

        What it tells (docs/concurrency/events.md), from the first event on; the `id` of an event is its `n`. After the
        last one comes the event `end`, and the stream closes.
        """

    @stream("/api/v1/stream", query=("workflow", "status", "type", "after"))
    def stream(
        self,
        *,
        workflow: str | None = None,
        status: str | None = None,
        type: str | None = None,
        after: str | None = None,
    ) -> Event:
        """Watch a project.

        Events of all its runs as they commit, from now on or from a cursor on. `lagged`: you read too slowly, and what
        you missed follows. `reset`: what comes behind your cursor is forgotten; list the runs.
        """
