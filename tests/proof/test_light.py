"""The light generator against the null server: what it reports is what it sent."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from meshproof.load.light import LightJob, Report
from meshproof.stats import Histogram


def send(job: LightJob) -> Report:
    said = subprocess.run(
        [sys.executable, "-m", "meshproof.load.light"],
        input=msgspec.json.encode(job) + b"\n",
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.json.decode(said.stdout, type=Report)


@pytest.mark.parametrize("namespace", [None, "t"])
def test_the_closed_model_ends_after_so_many_requests(null_port: int, namespace: str | None) -> None:
    job = LightJob("127.0.0.1", null_port, "x", "pipeline", 60.0, 8, requests_max=500, namespace=namespace)
    report = send(job)
    assert 500 <= report.accepted <= 508
    assert report.sent == report.accepted
    assert Histogram.decode(report.accept).count == report.accepted
    assert report.failed == report.refused == report.unsent == 0


def test_the_open_model_sends_what_is_due(null_port: int) -> None:
    report = send(LightJob("127.0.0.1", null_port, "x", "pipeline", 0.5, 64, rate=1_000.0))
    assert report.sent + report.unsent == pytest.approx(report.seconds * 1_000, rel=0.1)
    assert report.accepted == report.sent


def test_refusals_are_counted_and_those_without_retry_after_too(null_port: int) -> None:
    report = send(LightJob("127.0.0.1", null_port, "status/503", "pipeline", 0.2, 8, rate=200.0))
    assert report.refused == report.sent > 0
    assert report.refused_without_retry_after == 0
    assert report.accepted == 0


def test_what_is_never_answered_has_failed(null_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    report = send(LightJob("127.0.0.1", null_port, "reset", "pipeline", 0.1, 4))
    assert report.accepted == 0
    assert report.failed == report.sent == 4
