"""What calls of the API answer.

Written by `make client` out of the OpenAPI document; a test compares it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Accepted(_Answer, frozen=True, kw_only=True):
    """A delivery is stored. ``duplicate``: an earlier one with the same key and body made the run.

    ``gathered``: the run may be that of other deliveries as well.
    """

    run_id: str
    status_url: str
    duplicate: bool
    gathered: bool | None = None
    receipt: str | None = None


class Advice(_Answer, frozen=True, kw_only=True):
    path: str
    code: str
    message: str


class Alive(_Answer, frozen=True, kw_only=True):
    status: str | None = None


class Answered(_Answer, frozen=True, kw_only=True):
    status: int
    headers: dict[str, str]
    body: str


class Backlog(_Answer, frozen=True, kw_only=True):
    ready: int
    in_lane: int
    leased: int
    expired: int
    sleeping: int
    waiting: int
    paused: int
    live: int
    ready_oldest_s: float
    in_lane_oldest_s: float
    expired_oldest_s: float
    lanes_waiting: int


class Begun(_Answer, frozen=True, kw_only=True):
    run_id: str
    replay_of: str


class Bucket(_Answer, frozen=True, kw_only=True):
    accepted: int
    completed: int
    failed: int
    cancelled: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    at: datetime


class CallAttempt(_Answer, frozen=True, kw_only=True):
    number: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    sent: str | None
    error: Any
    retry_at: datetime | None


class Cause(_Answer, frozen=True, kw_only=True):
    kind: str
    text: str
    next: str
    node: str | None = None
    until: datetime | None = None
    worker: str | None = None
    run_ids: list[str] | None = None
    position: int | None = None
    estimate_s: float | None = None
    event: str | None = None
    key: str | None = None
    attempt: int | None = None
    error: Any = None


class Check(_Answer, frozen=True, kw_only=True):
    name: str
    status: str
    found: str
    advice: str


class Checkup(_Answer, frozen=True, kw_only=True):
    at: datetime
    checks: list[Check]


class ComparedFigure(_Answer, frozen=True, kw_only=True):
    metric: str
    better: str
    a: float
    b: float
    ratio: float | None
    low: float | None
    high: float | None
    word: str


class Comparison(_Answer, frozen=True, kw_only=True):
    verdict: str
    figures: list[ComparedFigure]
    obstacles: list[str]
    notes: list[str]


class ControlSent(_Answer, frozen=True, kw_only=True):
    id: str
    runs: list[str]


class Counterexample(_Answer, frozen=True, kw_only=True):
    why: str
    endpoint: str | None = None
    delivery: str | None = None
    run_id: str | None = None
    sent: list[dict[str, Any]] | None = None
    runs: list[dict[str, Any]] | None = None
    journal: list[dict[str, Any]] | None = None
    claims: list[dict[str, Any]] | None = None
    leases: list[dict[str, Any]] | None = None
    effects: list[dict[str, Any]] | None = None
    samples: list[dict[str, Any]] | None = None


class DatabaseState(_Answer, frozen=True, kw_only=True):
    at: datetime
    version: str
    connections: int
    connections_max: int
    sessions: list[Sessions]
    bytes: int
    committed_total: int
    rolled_back_total: int
    blocks_hit_total: int
    blocks_read_total: int
    wal_bytes_total: int
    temporary_bytes_total: int
    deadlocks_total: int
    oldest_transaction_s: float
    tables: list[TableState]
    days_ahead: int
    days_kept: int


class DeadLetter(_Answer, frozen=True, kw_only=True):
    run_id: str
    workflow: str
    failed_at: datetime
    node: str | None
    error_type: str
    reason: str


class DeadLetterDetail(_Answer, frozen=True, kw_only=True):
    run_id: str
    workflow: str
    failed_at: datetime
    node: str | None
    error_type: str
    reason: str
    error: Any
    last_step: str | None
    resume_from: str | None


class DeadLetterPage(_Answer, frozen=True, kw_only=True):
    items: list[DeadLetter]
    next: str | None


class Delivery(_Answer, frozen=True, kw_only=True):
    at: datetime
    outcome: str
    status: int
    run_id: str | None = None
    run_status: str | None = None
    delivery_key: str | None = None
    problem: str | None = None
    detail: str | None = None
    remote: str | None = None
    unwritten: int | None = None


class DeliveryPage(_Answer, frozen=True, kw_only=True):
    items: list[Delivery]
    next: str | None
    refused: dict[str, int]


class DoorState(_Answer, frozen=True, kw_only=True):
    live_runs: int
    live_runs_max: int
    lag_s: float
    slowed: bool
    full: bool


class Endpoint(_Answer, frozen=True, kw_only=True):
    path: str
    workflow: str
    methods: list[str]
    config: dict[str, Any]
    created_at: datetime


class Endpoints(_Answer, frozen=True, kw_only=True):
    items: list[Endpoint]


class Entry(_Answer, frozen=True, kw_only=True):
    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


class Evaluated(_Answer, frozen=True, kw_only=True):
    ok: bool
    result: Any = None
    is_true: bool | None = None
    size_bytes: int | None = None
    left_out: bool | None = None
    error: EvaluationError | None = None


class Evaluation(_Answer, frozen=True, kw_only=True):
    items: list[Evaluated]


class EvaluationError(_Answer, frozen=True, kw_only=True):
    code: str
    message: str
    path: str | None = None
    expression: str | None = None
    position: int | None = None


class EventPage(_Answer, frozen=True, kw_only=True):
    items: list[dict[str, Any]]
    next: int | None


class Failure(_Answer, frozen=True, kw_only=True):
    type: str
    node: str | None
    reason: str


class FamilyStanding(_Answer, frozen=True, kw_only=True):
    name: str
    verdict: str
    judged: int | None = None
    asked: bool | None = None
    checked: int | None = None


class Installation(_Answer, frozen=True, kw_only=True):
    door: DoorState
    workers: list[WorkerState]
    database: DatabaseState
    projects: list[ProjectLoad]
    schedule_lag_s: float
    operations_working: int


class Invariant(_Answer, frozen=True, kw_only=True):
    name: str
    family: str
    says: str
    verdict: str
    checked: int
    count: int
    sentence: str
    of_what: str | None = None
    examples: list[Counterexample] | None = None


class Iteration(_Answer, frozen=True, kw_only=True):
    index: int
    status: str
    started_at: datetime | None
    ended_at: datetime | None
    error: Any


class KeySet(_Answer, frozen=True, kw_only=True):
    keys: list[dict[str, str]]


class LabLimits(_Answer, frozen=True, kw_only=True):
    rate_max: float | None = None
    duration_s_max: float | None = None
    levels_max: int | None = None
    in_flight_max: int | None = None
    workers_max: int | None = None


class LabStanding(_Answer, frozen=True, kw_only=True):
    available: bool
    why_not: str | None
    running: str | None
    offers: Offers | None
    limits: LabLimits


class Lane(_Answer, frozen=True, kw_only=True):
    workflow: str
    key: str | None
    limit: int | None
    strategy: str
    live: int
    waiting: int
    token_at: datetime | None


class Lanes(_Answer, frozen=True, kw_only=True):
    items: list[Lane]


class ListedRun(_Answer, frozen=True, kw_only=True):
    id: str
    workflow: str
    version: int | None
    test: bool
    status: str
    endpoint: str | None
    delivery_key: str | None
    epoch: int
    accepted_at: datetime
    finished_at: datetime | None
    duration_s: float | None
    origin: Origin | None
    failure: Failure | None


class LiveFigures(_Answer, frozen=True, kw_only=True):
    at_us: int
    t_s: float
    phase: str
    sent: int | None
    acknowledged: int
    refused: int
    unknown: int
    in_flight: int
    accepted: int | None
    finished: int | None
    backlog: int | None
    missing: int | None
    per_s: PerSecond
    accept_ms: dict[str, float] | None
    accept_ms_so_far: dict[str, float] | None


class LoopProgress(_Answer, frozen=True, kw_only=True):
    count: int
    begun: int
    done: int
    failed: int


class NextTicks(_Answer, frozen=True, kw_only=True):
    items: list[Shown]


class OfferedFamily(_Answer, frozen=True, kw_only=True):
    name: str
    proves: str
    invariants: list[OfferedInvariant]


class OfferedFault(_Answer, frozen=True, kw_only=True):
    name: str
    summary: str
    is_quick: bool


class OfferedInvariant(_Answer, frozen=True, kw_only=True):
    name: str
    says: str


class OfferedProfile(_Answer, frozen=True, kw_only=True):
    name: str
    summary: str


class OfferedScenario(_Answer, frozen=True, kw_only=True):
    name: str
    summary: str
    nodes: int
    calls: bool


class Offers(_Answer, frozen=True, kw_only=True):
    profiles: list[OfferedProfile]
    scenarios: list[OfferedScenario]
    faults: list[OfferedFault]
    families: list[OfferedFamily]
    placeholders: list[Placeholder]
    template: dict[str, str]


class Operation(_Answer, frozen=True, kw_only=True):
    id: str
    kind: str
    filter: dict[str, Any]
    version: str
    reason: str | None
    actor: str
    state: str
    expected: int
    matched: int
    done: int
    refused: int
    refusals: list[Refused]
    began_at: datetime
    finished_at: datetime | None


class OperationPage(_Answer, frozen=True, kw_only=True):
    items: list[Operation]
    before: str | None


class Origin(_Answer, frozen=True, kw_only=True):
    kind: str
    run_id: str | None
    step: str | None


class Outcomes(_Answer, frozen=True, kw_only=True):
    accepted: int
    completed: int
    failed: int
    cancelled: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


class Overview(_Answer, frozen=True, kw_only=True):
    at: datetime
    project: ProjectState
    installation: Installation | None


class Page(_Answer, frozen=True, kw_only=True):
    items: list[Entry]
    before: int | None


class Payload(_Answer, frozen=True, kw_only=True):
    bytes: int
    truncated: bool
    value: Any
    beginning: str | None


class PerSecond(_Answer, frozen=True, kw_only=True):
    sent: float | None
    acknowledged: float
    finished: float | None


class Placeholder(_Answer, frozen=True, kw_only=True):
    word: str
    gives: str


class Preview(_Answer, frozen=True, kw_only=True):
    kind: str
    matched: int
    more: bool
    runs: list[str]


class ProblemFault(_Answer, frozen=True, kw_only=True):
    path: str
    code: str
    message: str


class ProjectLoad(_Answer, frozen=True, kw_only=True):
    name: str
    live: int
    ready: int
    ready_oldest_s: float


class ProjectState(_Answer, frozen=True, kw_only=True):
    name: str
    backlog: Backlog
    backlog_max: int | None
    dead_letters: int
    share: float


class PublishedVersion(_Answer, frozen=True, kw_only=True):
    name: str
    version: int
    version_id: int
    created_at: datetime
    note: str | None
    published_by: str | None
    warnings: list[Advice]


class Ready(_Answer, frozen=True, kw_only=True):
    status: str | None = None


class Receipt(_Answer, frozen=True, kw_only=True):
    run_id: str
    endpoint: str
    body_sha256: str
    iat: int
    duplicate: bool | None = None
    event: str | None = None


class Redeemed(_Answer, frozen=True, kw_only=True):
    valid: bool
    reason: str | None = None
    receipt: Receipt | None = None
    run: RedeemedRun | None = None


class RedeemedRun(_Answer, frozen=True, kw_only=True):
    id: str
    status: str
    finished_at: datetime | None


class Refused(_Answer, frozen=True, kw_only=True):
    problem: str
    count: int
    detail: str
    runs: list[str]


class RunDefinition(_Answer, frozen=True, kw_only=True):
    workflow: str
    version: int | None
    definition: dict[str, Any]


class RunDetail(_Answer, frozen=True, kw_only=True):
    id: str
    workflow: str
    version: int | None
    test: bool
    status: str
    endpoint: str | None
    delivery_key: str | None
    epoch: int
    accepted_at: datetime
    finished_at: datetime | None
    duration_s: float | None
    origin: Origin | None
    pinned: list[str]
    trigger: Any
    output: Any
    error: Any


class RunPage(_Answer, frozen=True, kw_only=True):
    items: list[ListedRun]
    next: str | None
    cut_short: bool
    looked_to: datetime | None
    matched: str | None


class SavedWorkflow(_Answer, frozen=True, kw_only=True):
    name: str
    published: int | None
    created_at: datetime
    updated_at: datetime
    tags: list[str]
    deleted_at: datetime | None
    etag: str
    errors: list[ProblemFault]
    warnings: list[Advice]


class Schedule(_Answer, frozen=True, kw_only=True):
    name: str
    workflow: str
    next_at: datetime | None
    held_at: datetime | None
    paused_at: datetime | None
    last_tick_at: datetime | None
    last_run_id: str | None
    last_error: str | None
    ticks_fired: int
    ticks_skipped: int
    ticks_missed: int
    created_at: datetime
    updated_at: datetime
    cron: str | None = None
    every_s: int | None = None
    timezone: str | None = None
    input: Any = None
    overlap: str | None = None
    missed: str | None = None
    missed_max: int | None = None
    grace_s: int | None = None
    jitter_s: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class Schedules(_Answer, frozen=True, kw_only=True):
    items: list[Schedule]


class Secret(_Answer, frozen=True, kw_only=True):
    name: str
    version: int
    created_at: datetime
    previous_until: datetime | None
    last_used_at: datetime | None


class Secrets(_Answer, frozen=True, kw_only=True):
    items: list[Secret]


class Session(_Answer, frozen=True, kw_only=True):
    signed_in: bool
    how: str | None
    project: str | None
    key: str | None
    needs: str
    password_set: bool


class Sessions(_Answer, frozen=True, kw_only=True):
    state: str
    wait_type: str | None
    wait_event: str | None
    sessions: int


class Shown(_Answer, frozen=True, kw_only=True):
    at: datetime
    local: datetime
    note: str


class Statistics(_Answer, frozen=True, kw_only=True):
    since: datetime
    until: datetime
    bucket_s: int
    share: float
    total: Outcomes
    buckets: list[Bucket]


class Step(_Answer, frozen=True, kw_only=True):
    path: str
    node: str
    type: str
    status: str
    started_at: datetime | None
    ended_at: datetime | None
    port: str | None
    taken_over: bool
    deadline_at: datetime | None
    input_from: list[str]
    attempts: list[CallAttempt]
    waits: list[StepWait]
    loop: LoopProgress | None
    input: Payload | None
    output: Payload | None
    error: Any


class StepDetail(_Answer, frozen=True, kw_only=True):
    run_id: str
    status: str
    seq: int
    complete: bool
    step: Step


class StepPage(_Answer, frozen=True, kw_only=True):
    run_id: str
    status: str
    seq: int
    complete: bool
    within: str | None
    count: int | None
    items: list[Step]
    iterations: list[Iteration]
    next: int | None


class StepWait(_Answer, frozen=True, kw_only=True):
    kind: str
    since: datetime
    until: datetime | None
    ended_at: datetime | None
    event: str | None
    key: str | None
    run_id: str | None
    workflow: str | None
    run_status: str | None


class Summary(_Answer, frozen=True, kw_only=True):
    attempted: int | None
    acknowledged: int | None
    refused: int | None
    unknown: int | None
    runs: int | None
    lost: int | None
    duplicated: int | None
    wrong: int | None
    stuck: int | None
    accepted_per_s: float | None
    completed_per_s: float | None
    accept_ms: dict[str, float] | None
    queue_ms: dict[str, float] | None
    end_to_end_ms: dict[str, float] | None
    cpu_ms_per_run: float | None
    wal_bytes_per_run: float | None
    transactions_per_run: float | None


class TableState(_Answer, frozen=True, kw_only=True):
    name: str
    bytes: int
    rows: int
    dead_rows: int


class Test(_Answer, frozen=True, kw_only=True):
    id: str
    title: str
    wanted: TestWanted
    state: str
    part: str | None
    verdict: str | None
    reason: str | None
    created_at: datetime
    ended_at: datetime | None
    figures: LiveFigures | None
    summary: Summary | None
    has_report: bool
    doing: str | None
    families: list[FamilyStanding]
    adapted: list[str]
    command: str | None
    invariants: list[Invariant]


class TestBrief(_Answer, frozen=True, kw_only=True):
    id: str
    title: str
    wanted: TestWanted
    state: str
    part: str | None
    verdict: str | None
    reason: str | None
    created_at: datetime
    ended_at: datetime | None
    figures: LiveFigures | None
    summary: Summary | None
    has_report: bool


class TestRunBegun(_Answer, frozen=True, kw_only=True):
    run_id: str
    status_url: str


class TestWanted(_Answer, frozen=True, kw_only=True):
    """A test to begin: a scenario of the suite, or a workflow of this project as it is.

    `version`: a number, `draft`, or (left out) the published one. `payload` is sent as it stands, `template` with
    what is drawn in
    place of `{{ }}`; neither is for scenarios. `calls`: what each call of the workflow is answered. `rate` and
    `duration_s` are for
    `load` and `faults`, where the duration may be left out; `levels` for `concurrency`.
    """

    profile: Any = None
    scenario: str | None = None
    workflow: str | None = None
    version: Any = None
    payload: Any = None
    template: Any = None
    calls: str | None = None
    rate: float | None = None
    duration_s: float | None = None
    warmup_s: float | None = None
    shape: Any = None
    levels: list[int] | None = None
    faults: list[str] | None = None
    workers: int | None = None
    seed: int | None = None


class Tests(_Answer, frozen=True, kw_only=True):
    items: list[TestBrief]


class Told(_Answer, frozen=True, kw_only=True):
    run_id: str
    told: str


class Trial(_Answer, frozen=True, kw_only=True):
    sent: TrialSent
    answered: Answered


class TrialSent(_Answer, frozen=True, kw_only=True):
    method: str
    url: str
    headers: dict[str, str]
    body: str


class Validation(_Answer, frozen=True, kw_only=True):
    valid: bool
    errors: list[ProblemFault]
    warnings: list[Advice]


class Version(_Answer, frozen=True, kw_only=True):
    name: str
    version: int
    version_id: int
    created_at: datetime
    note: str | None
    published_by: str | None


class VersionDetail(_Answer, frozen=True, kw_only=True):
    name: str
    version: int
    version_id: int
    created_at: datetime
    note: str | None
    published_by: str | None
    definition: dict[str, Any]


class Versions(_Answer, frozen=True, kw_only=True):
    items: list[Version]


class Why(_Answer, frozen=True, kw_only=True):
    run_id: str
    status: str
    at: datetime
    reasons: list[Cause]


class WorkerState(_Answer, frozen=True, kw_only=True):
    id: str
    alive: bool
    started_at: datetime
    seen_at: datetime
    committed: int
    refused: int
    leases: int
    lease_until: datetime | None
    oldest_run_id: str | None
    oldest_run_at: datetime | None


class Workflow(_Answer, frozen=True, kw_only=True):
    name: str
    published: int | None
    created_at: datetime
    updated_at: datetime
    tags: list[str]
    deleted_at: datetime | None


class WorkflowDetail(_Answer, frozen=True, kw_only=True):
    name: str
    published: int | None
    created_at: datetime
    updated_at: datetime
    tags: list[str]
    deleted_at: datetime | None
    draft: dict[str, Any]
    changed: bool
    etag: str
    saved_by: str | None


class WorkflowStatistics(_Answer, frozen=True, kw_only=True):
    accepted: int
    completed: int
    failed: int
    cancelled: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    workflow: str
    accepted_by_bucket: list[int]
    failed_by_bucket: list[int]


class Workflows(_Answer, frozen=True, kw_only=True):
    items: list[Workflow]


class WorkflowsStatistics(_Answer, frozen=True, kw_only=True):
    since: datetime
    until: datetime
    bucket_s: int
    share: float
    items: list[WorkflowStatistics]
