"""A tape tells what each watcher saw exactly as parsing it does, however it was cut, and whoever came first."""

from __future__ import annotations

import random

import pytest

from meshproof.tape import Key, Reading, Tape

MARK, LAGGED, RETRY = b":\nid: 9.1.0\n\n", b"event: lagged\nid: 1.1.1\ndata: {}\n\n", b"retry: 500\n\n"


def frame(number: int) -> bytes:
    """Event 1 of run `number`, told at place `number`, committed at that many seconds."""
    data = f'{{"run_id":"r{number}","at":"1970-01-01T00:00:{number:02}Z","seq":1,"type":"x"}}'
    return f"id: {number}.1.1\ndata: {data}\n\n".encode()


def keys(*numbers: int) -> list[Key]:
    return [(f"r{number}", 1) for number in numbers]


def feed(reading: Reading, text: bytes, cut: random.Random, now_us: int = 0, since_us: int = 0) -> None:
    while text:
        size = cut.randint(1, 2 * len(frame(1)))
        reading.feed(text[:size], now_us, since_us)
        text = text[size:]


@pytest.mark.parametrize("seed", range(20))
def test_two_watchers_of_one_tape_are_told_apart_event_by_event(seed: int) -> None:
    cut, tape = random.Random(seed), Tape()
    told = {
        "whole": [1, 2, 3, 4, 5, 6],
        "same": [1, 2, 3, 4, 5, 6],
        "one missing": [1, 2, 4, 5, 6],
        "one twice": [1, 2, 3, 3, 4, 5, 6],
        "turned round": [2, 1, 3, 4, 6, 5],
        "more": [1, 2, 3, 4, 5, 6, 7, 8],
    }
    readings = {name: Reading(tape) for name in told}
    texts = {
        name: RETRY + MARK + b"".join(frame(n) + cut.choice([b"", MARK, LAGGED, b":\n\n"]) for n in of)
        for name, of in told.items()
    }
    while any(texts.values()):  # all of them at once, a little each
        name = cut.choice([name for name, text in texts.items() if text])
        size = cut.randint(1, 300)
        readings[name].feed(texts[name][:size], 0, 0)
        texts[name] = texts[name][size:]
    assert {name: reading.keys for name, reading in readings.items()} == {name: keys(*of) for name, of in told.items()}
    assert [reading.count for reading in readings.values()] == [len(of) for of in told.values()]
    assert len(tape.keys) == 8


def test_who_connects_again_goes_on_behind_the_last_whole_event() -> None:
    cut, tape = random.Random(1), Tape()
    other, reading = Reading(tape), Reading(tape)
    feed(other, b"".join(map(frame, (1, 2, 3))), cut)
    feed(reading, frame(1) + frame(2)[:-10], cut)
    assert reading.last_id == "1.1.1"
    reading.begin()
    feed(reading, RETRY + b":\nid: 1.1.1\n\n" + frame(2) + frame(3) + frame(4)[:5], cut)
    reading.begin()
    feed(reading, frame(4), cut)
    assert reading.keys == keys(1, 2, 3, 4)
    assert reading.last_id == "4.1.1"
    reading.feed(MARK, 0, 0)
    assert reading.last_id == "9.1.0"


def test_a_lag_counts_from_the_commit_for_what_was_committed_while_connected() -> None:
    reading = Reading(Tape())
    reading.feed(frame(1) + frame(2) + frame(3), 3_200_000, 2_000_000)
    assert reading.lag_us().tolist() == [1_200_000, 200_000]
    assert Reading(Tape()).lag_us().tolist() == []
