"""A counterexample as people read it: every ledger in its lane, on one axis of time, on a page, a terminal and as lines."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console
from story import SECOND, START_US, Story, run_id

from meshproof.counterexample_table import ROWS_MAX, tell
from meshproof.judge import Verdicts, story
from meshproof.judge.verdicts import Example, Result, Verdict

AT = 1_795_455_315_000_000


def example(**ledgers: object) -> Example:
    return Example(why="it is so", delivery="d1", run_id=run_id(1), **ledgers)  # type: ignore[arg-type]


def told(one: Example) -> list[tuple[float | None, str, str]]:
    """Every moment: when, where, what."""
    return [
        (row.after_ms, lane, moment.what)
        for row in story.rows(one)
        for lane, here in row.lanes.items()
        for moment in here
    ]


def test_every_ledger_has_its_lane_and_all_of_them_one_axis() -> None:
    one = example(
        sent=[
            {
                "n": 3,
                "kind": "first",
                "hash": "abcdef0123",
                "sent_us": AT,
                "reply_us": AT + 9_000,
                "status": 202,
                "outcome": "ok",
            }
        ],
        journal=[
            {
                "run_id": run_id(1),
                "seq": 1,
                "at_us": AT + 5_000,
                "type": "run.accepted",
                "event": '{"type":"run.accepted"}',
            }
        ],
        claims=[{"epoch": 1, "claimed_us": AT + 10_000, "last_at_us": AT + 12_000}],
        leases=[
            {
                "epoch": 1,
                "owner": "w1",
                "taken_us": AT + 11_000,
                "until_us": AT + SECOND,
                "ended_by": None,
                "end_us": AT + SECOND,
            }
        ],
        effects=[{"at_us": AT + 11_500, "key": f"{run_id(1)}/charge", "hash": "ff", "answer": "200"}],
        samples=[{"run_id": run_id(1), "at_us": AT + 20_000, "status": "queued", "seq": 2, "epoch": 1}],
    )
    assert told(one) == [
        (0.0, story.SENDER, "→ attempt 3, first, body abcdef01"),
        (5.0, story.JOURNAL, "1 run.accepted"),
        (9.0, story.SENDER, "← attempt 3: 202 (ok)"),
        (10.0, story.LEASES, "epoch 1 claims it"),
        (11.0, story.LEASES, "┌ epoch 1 takes a lease, until 17:35:16.000"),
        (11.5, story.SINK, "a call, answered 200"),
        (12.0, story.LEASES, "epoch 1 writes last"),
        (20.0, story.SEEN, "queued, 2 events, epoch 1"),
        (1000.0, story.LEASES, "└ lease of epoch 1 runs out, and nothing follows"),
    ]
    assert story.lanes(story.rows(one)) == list(story.LANES)


@pytest.mark.parametrize(
    ("ended_by", "says"),
    [
        ("lease.released", "is given back"),
        ("lease.expired", "another takes over"),
        ("lease.taken", "another was taken while it lasted"),
        ("run.completed", "ends with the run"),
    ],
)
def test_how_a_lease_ended_is_said(ended_by: str, says: str) -> None:
    lease = {"epoch": 2, "taken_us": AT, "until_us": AT + 5, "ended_by": ended_by, "end_us": AT + 5}
    assert says in told(example(leases=[lease]))[-1][2]


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ('{"type":"x","node":"charge","attempt":2}', "node=charge attempt=2"),
        (
            '{"type":"x","until":"2026-11-23T17:35:35.061712Z","output":{"a":[1]}}',
            'until=17:35:35.061 output={"a":[1]}',
        ),
        (
            '{"type":"x","output":"cut in the mid… (9,000 characters)',
            '{"type":"x","output":"cut in the mid… (9,000 characters)',
        ),
        (None, ""),
    ],
)
def test_an_event_is_told_without_its_brackets(event: str | None, says: str) -> None:
    assert story.members(event) == says


def test_what_nobody_knows_the_time_of_comes_first_and_says_so() -> None:
    one = example(
        sent=[{"n": 1, "kind": "first", "hash": "a", "sent_us": None, "reply_us": None}],
        claims=[{"epoch": 1, "claimed_us": AT, "last_at_us": AT}],
    )
    assert [row.after_ms for row in story.rows(one)] == [None, 0.0]
    assert any(line.startswith("             ?  the sender") for line in story.lines(one))


def test_nothing_stored_is_said_and_nothing_told_is_no_story() -> None:
    claims = [{"epoch": 1, "claimed_us": AT, "last_at_us": AT}]
    assert "no run of this delivery is stored" in list(story.lines(example(claims=claims)))
    assert list(story.lines(example())) == ["it is so", f"delivery d1 · run {run_id(1)}"]


def test_the_terminal_tells_it_side_by_side_from_a_judged_run(judged: Callable[[Story], Verdicts]) -> None:
    made = Story()
    made.taken_over(1)
    made.journal(1)[2]["claimed_us"] -= 200_000
    made.sample(1, 1, at_us=START_US + 20_000)
    result = judged(made).of("leases.takeover")
    text = io.StringIO()
    console = Console(file=text, width=160)
    for part in tell(result):
        console.print(part)
    said = text.getvalue()
    (head,) = (line for line in said.splitlines() if story.SENDER in line)
    assert [lane for lane in story.LANES if lane in head] == [story.SENDER, story.JOURNAL, story.LEASES, story.SEEN]
    for words in ("leases.takeover", f"run {run_id(1)}", "3 lease.taken", "epoch 2 claims it", "another takes over"):
        assert words in said, words


def test_a_long_story_is_cut_on_the_terminal_and_says_so() -> None:
    claims = [{"epoch": number, "claimed_us": AT + number, "last_at_us": AT + number} for number in range(ROWS_MAX + 7)]
    result = Result("leases.epochs", "leases", "", Verdict.FAIL, 1, 1, "", [example(claims=claims)])
    text = io.StringIO()
    for part in tell(result):
        Console(file=text, width=160).print(part)
    assert "and 7 more moments, in the report" in text.getvalue()
    assert list(tell(Result("x", "y", "", Verdict.FAIL, 1, 1, "", [example()]))) == []
