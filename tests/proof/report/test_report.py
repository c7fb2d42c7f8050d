"""The report: complete, honest about gaps, closed to hostile data and to the network."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from page import Page
from story import Story, run_id, step

from meshproof import report
from meshproof.judge import INVARIANTS, judge
from meshproof.report.markup import el, script_data

CHARTS = {
    "Throughput",
    "Latency of accepting",
    "Latency end to end",
    "Backlog",
    "Processor time",
    "Memory",
    "Transactions",
    "Write-ahead log",
    "Dead tuples",
    "What sessions wait for",
}


def test_a_report_tells_verdict_figures_charts_and_how_to_repeat_it(evidence: Path) -> None:
    page = Page(report.write(evidence))
    assert "PASS" in page.text
    for name, rule in INVARIANTS.items():
        assert name in page.text
        assert " ".join(rule.says.split()) in page.text
    assert set(page.charts) == CHARTS
    assert [band["label"] for band in page.timeline["bands"]] == ["warm-up", "steady", "drain"]
    assert {mark["kind"] for mark in page.timeline["marks"]} == {"incident", "checkpoint"}
    assert "meshproof run load --scenario pipeline --rate 1000 --seed 1" in page.text
    assert "Not in this report" not in page.text
    for word in ("requests sent 3,000", "seed 1", "fsync", "calibration per s", "drain s"):
        assert word.replace(" ", "") in page.text.replace(" ", ""), word


def test_the_same_evidence_gives_the_same_page(evidence: Path) -> None:
    first = report.write(evidence).read_bytes()
    assert report.write(evidence).read_bytes() == first


# The network -----------------------------------------------------------------------------------------------------------


def test_nothing_on_the_page_comes_from_the_network(evidence: Path) -> None:
    page = Page(report.write(evidence))
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "action", "formaction", "poster"} & attributes.keys(), tag
        assert tag not in ("link", "iframe", "img", "object", "embed", "base", "form")
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"@import|url\(", page.source)
    assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", page.source.replace("http://www.w3.org", ""), re.IGNORECASE)


def test_the_policy_allows_only_the_scripts_of_the_page(evidence: Path) -> None:
    page = Page(report.write(evidence))
    (policy,) = [
        str(attributes["content"])
        for _, attributes in page.elements
        if attributes.get("http-equiv", "").startswith("Content-S")
    ]
    allowed = re.findall(r"'(sha256-[^']+)'", policy)
    assert "default-src 'none'" in policy
    assert allowed == [f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}" for script in page.scripts[1:]]


def test_the_licence_of_uplot_goes_with_it(evidence: Path) -> None:
    page = Page(report.write(evidence))
    assert "Permission is hereby granted, free of charge" in page.scripts[1]
    assert "Leon Sorokin" in page.scripts[1]


# Hostile data ----------------------------------------------------------------------------------------------------------

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload=x &lt; \u2028 {{x}} ${css} $data"


def test_hostile_data_stays_text(tmp_path: Path) -> None:
    story = Story()
    for number in (1, 2):
        story.delivered(number)
    story.stored(3, EVIL)
    story.attempt("d9", run=9)
    story.outcomes[0].update(run_id=EVIL, problem=EVIL, error=EVIL)
    story.rows[1]["events"][0] = step(EVIL, {EVIL: EVIL})
    story.incidents.append({"at_us": 1, "role": EVIL, "pid": 1, "what": EVIL})
    story.plan |= {"command": EVIL, "profile": EVIL, EVIL: EVIL, "settings": {EVIL: {EVIL: EVIL}}}
    folder = story.write(tmp_path)
    for name, document in {
        "versions.json": {EVIL: EVIL, "commit": EVIL},
        "summary.json": {"commit": EVIL, "rss_bytes_max": {EVIL: 1}},
        "phases.json": [{"kind": EVIL, "from_us": 1, "to_us": 2_000_000_000_000_000, "level": None}],
    }.items():
        (folder / name).write_text(json.dumps(document))
    line = {
        "at_us": 1_800_000_000_000_000,
        "roles": {EVIL: {"cpu_s": 1, "rss_bytes": 1}},
        "database": {"waits": {EVIL: 1}},
    }
    (folder / "samples/observe.ndjson").write_text(json.dumps(line) + "\n")
    judge(folder)
    page = Page(report.write(folder))
    assert len(page.scripts) == 3
    assert "img" not in page.tags
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert EVIL.partition("\u2028")[0].strip() in page.text
    assert page.timeline["bands"][0]["label"] == EVIL


@pytest.mark.parametrize("evil", [EVIL, "]]>", "<!--", "\u2029", "\\u003c", '"', "'"])
def test_markup_and_script_data_cannot_be_broken_out_of(evil: str) -> None:
    assert json.loads(script_data({"x": evil})) == {"x": evil}
    assert not set("<>&") & set(script_data(evil))
    made = el("p", evil, title=evil)
    assert made.count("<") == made.count(">") == 2


# Gaps ------------------------------------------------------------------------------------------------------------------

NAMED = ["plan.json", "summary.json", "generator.json", "versions.json", "phases.json", "verdicts.json"]
LEDGERS = [
    "incidents.ndjson",
    "samples/observe.ndjson",
    "sent/0.attempts.ndjson",
    "sent/0.outcomes.ndjson",
    "stored/runs.csv",
]


@pytest.mark.parametrize("name", [*NAMED, *LEDGERS])
def test_what_is_missing_is_said(evidence: Path, name: str) -> None:
    (evidence / name).unlink()
    page = Page(report.write(evidence))
    assert "Not in this report" in page.text
    assert name.replace("/0.", "/*.") in page.text


@pytest.mark.parametrize("garbage", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"3", b'{"levels": 1, "from_us": "x"}\n'])
@pytest.mark.parametrize("name", [*NAMED, *LEDGERS])
def test_whatever_is_garbled_there_is_a_report(evidence: Path, name: str, garbage: bytes) -> None:
    (evidence / name).write_bytes(garbage)
    assert "meshproof" in report.write(evidence).read_text()


def test_an_empty_folder_has_a_report(tmp_path: Path) -> None:
    page = Page(report.write(tmp_path))
    assert "UNKNOWN" in page.text
    assert "verdicts.json is not there: the evidence was not judged" in page.text


def test_floor_and_levels_are_not_missed(evidence: Path) -> None:
    assert not (evidence / "floor.json").exists()
    assert "floor.json" not in Page(report.write(evidence)).text


# Verdicts --------------------------------------------------------------------------------------------------------------


def lose_a_run(folder: Path) -> None:
    lines = (folder / "stored/runs.csv").read_text().splitlines(keepends=True)
    (folder / "stored/runs.csv").write_text("".join(lines[:100] + lines[101:]))


def saturate(folder: Path) -> None:
    generator = json.loads((folder / "generator.json").read_text())
    generator["processes"][0]["unsent"] = 7
    (folder / "generator.json").write_text(json.dumps(generator))


def drop_samples(folder: Path) -> None:
    (folder / "samples/seen.ndjson").unlink()


@pytest.mark.parametrize(
    ("bend", "word", "reason"),
    [
        (lose_a_run, "VIOLATED", "intake.lost, intake.vanished"),
        (saturate, "INVALID", "left 7 attempts unsent"),
        (drop_samples, "UNKNOWN", "intake.vanished"),
    ],
)
def test_every_verdict_is_told_with_its_reason(
    evidence: Path, bend: Callable[[Path], None], word: str, reason: str
) -> None:
    bend(evidence)
    verdicts = judge(evidence)
    page = Page(report.write(evidence))
    assert f"{word} {verdicts.reason}" in page.text
    assert reason.partition(",")[0] in verdicts.reason


def test_a_counterexample_tells_the_whole_story(tmp_path: Path) -> None:
    story = Story()
    story.taken_over(1)
    story.journal(1)[2]["claimed_us"] -= 200_000
    story.sample(1, 1, at_us=story.journal(1)[0]["at_us"])
    judge(story.write(tmp_path))
    text = Page(report.write(tmp_path)).text
    assert "leases.takeover" in text
    for said in (
        run_id(1),
        "→ attempt 0, first, body",
        "← attempt 0: 202 (ok)",
        "1 run.accepted",
        "3 lease.taken",
        "epoch 2 claims it",
        "queued, 1 events, epoch 0",
    ):
        assert said in text, said


# Charts ----------------------------------------------------------------------------------------------------------------


def observe(folder: Path, *lines: dict[str, Any]) -> dict[str, dict[str, Any]]:
    start = 1_800_000_000_000_000
    (folder / "samples").mkdir(exist_ok=True)
    (folder / "samples/observe.ndjson").write_text(
        "".join(json.dumps({"at_us": start + number * 1_000_000, **line}) + "\n" for number, line in enumerate(lines))
    )
    return Page(report.write(folder)).charts


def values(charts: dict[str, dict[str, Any]], title: str, label: str) -> list[float | None]:
    (line,) = [line for line in charts[title]["lines"] if line["label"] == label]
    found: list[float | None] = line["values"]
    return found


def test_counters_become_rates_with_gaps_where_they_were_not_read_or_began_again(tmp_path: Path) -> None:
    def database(transactions: int) -> dict[str, Any]:
        return {"database": {"transactions": transactions}}

    charts = observe(tmp_path, database(10), database(30), {}, database(60), database(5), database(6))
    assert values(charts, "Transactions", "transactions") == [None, 20, None, None, None, 1]


def test_the_backlog_is_what_was_accepted_and_not_finished(tmp_path: Path) -> None:
    charts = observe(tmp_path, {"accepted": 10, "terminal": 4}, {}, {"accepted": 20, "terminal": 20})
    assert values(charts, "Backlog", "accepted, not finished") == [6, None, 0]


def test_a_wait_nobody_was_in_is_zero_and_a_look_that_failed_is_a_gap(tmp_path: Path) -> None:
    charts = observe(tmp_path, {"database": {"waits": {"IO:WalSync": 2}}}, {"database": {"waits": {}}}, {})
    assert values(charts, "What sessions wait for", "IO:WalSync") == [2, 0, None]


def test_a_checkpoint_is_marked_when_it_was_seen(tmp_path: Path) -> None:
    observe(
        tmp_path, {"database": {"checkpoints": 1}}, {"database": {"checkpoints": 1}}, {"database": {"checkpoints": 2}}
    )
    assert Page(tmp_path / "report.html").timeline["marks"] == [
        {"at": 2.0, "kind": "checkpoint", "label": "checkpoint"}
    ]


def test_latencies_over_time_are_those_of_the_ledger(evidence: Path) -> None:
    charts = Page(report.write(evidence)).charts
    p50, p99, most = (values(charts, "Latency of accepting", label) for label in ("p50", "p99", "max"))
    for low, high, top in zip(p50, p99, most, strict=True):
        assert low is None or (high is not None and top is not None and 0 < low <= high <= top)
    offered = [value for value in values(charts, "Throughput", "offered") if value]
    assert 800 < sum(offered) / len(offered) < 1_200
