"""``meshhook schedule``."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Engine, Meshhook


def test_a_schedule_is_made_shown_changed_and_deleted(meshhook: Meshhook, engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"prices": [1, 20]}')
    made = meshhook("schedule", "create", "nightly", "orders", "--cron", "30 2 * * *", "--timezone", "Europe/Zurich",
                    "--input", str(file), "--overlap", "queue")  # fmt: skip
    assert (made.code, "nightly runs orders next at " in made.out, " 02:30:00 +0" in made.out) == (0, True, True), made
    assert "is a schedule 'nightly' already" in meshhook("schedule", "create", "nightly", "orders", "--every", "5").err
    changed = meshhook(
        "schedule", "update", "nightly", "--every", "60", "--ends-at", "2100-01-01T00:00:00Z", "--json"
    ).json
    assert (changed["cron"], changed["every_s"], changed["overlap"]) == (None, 60, "queue")
    assert changed["input"] == {"prices": [1, 20]}
    shown = meshhook("schedule", "show", "nightly").out
    assert "every 60 s" in shown
    assert "2100-01-01" in shown
    assert "nightly" in meshhook("schedule", "list").out
    assert "is paused" in meshhook("schedule", "pause", "nightly").out
    assert "paused" in meshhook("schedule", "list").out
    assert "next at" in meshhook("schedule", "resume", "nightly").out
    assert meshhook("schedule", "delete", "nightly").code == 0
    assert "There is no schedule 'nightly'" in meshhook("schedule", "show", "nightly").err
    assert meshhook("schedule", "list", "--json").json == {"items": []}


def test_the_next_ticks_are_printed_on_both_clocks_with_changes_marked(meshhook: Meshhook, engine: Engine) -> None:
    meshhook("schedule", "create", "nightly", "orders", "--cron", "30 2 * * *", "--timezone", "Europe/Zurich")
    spring = meshhook("schedule", "next", "nightly", "-n", "3", "--after", "2026-03-27T12:00:00Z").out.splitlines()
    assert [" ".join(line.split()) for line in spring] == [
        "local UTC",
        "Sat 2026-03-28 02:30:00 +0100 2026-03-28 01:30:00Z",
        "Sun 2026-03-29 03:00:00 +0200 2026-03-29 01:00:00Z DST, clocks went forward by 1:00:00",
        "Mon 2026-03-30 02:30:00 +0200 2026-03-30 00:30:00Z DST",
    ]
    autumn = meshhook("schedule", "next", "nightly", "-n", "3", "--after", "2026-10-24T12:00:00Z", "--json").json[
        "items"
    ]
    assert [(tick["at"], tick["note"]) for tick in autumn] == [
        ("2026-10-25T00:30:00Z", "DST"),
        ("2026-10-26T01:30:00Z", "clocks went back by 1:00:00"),
        ("2026-10-27T01:30:00Z", ""),
    ]


def test_what_is_wrong_is_told(meshhook: Meshhook, engine: Engine) -> None:
    create = ("schedule", "create", "nightly", "orders")
    for arguments, said in (
        ((), "exactly one of cron and every_s"),
        (("--cron", "x"), "no cron expression"),
        (("--every", "0"), ">= 1"),
        (("--every", "5", "--timezone", "Mars"), "no time zone"),
        (("--every", "5", "--overlap", "both"), "Invalid enum value"),
        (("--every", "5", "--starts-at", "soon"), "Invalid RFC3339"),
        (("--every", "5", "--input", "/nowhere"), "can't be read"),
    ):
        answer = meshhook(*create, *arguments)
        assert answer.code != 0
        assert said in answer.err, answer.err
    assert "with an offset" in meshhook("schedule", "next", "nightly", "--after", "2026-10-24").err
    assert "no schedule 'other'" in meshhook("schedule", "update", "other").err
