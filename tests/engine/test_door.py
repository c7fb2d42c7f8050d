"""The door slows down before workers starve, and lets everything in when there is nobody to starve."""

from __future__ import annotations

from meshhook.door import Door
from meshhook.store import Pressure


def admitted(door: Door, begin: float, seconds: float, per_s: int, project: int = 1) -> int:
    count = int(seconds * per_s)
    return sum(door.refusal(begin + n / per_s, project) is None for n in range(count))


def busy(lag_s: float, committed: int, queued: int = 50_000, workers: int = 1) -> Pressure:
    return Pressure(lag_s, queued, committed, workers, {1: lag_s, 2: 0.01})


def door() -> Door:
    return Door(lag_max_s=1.0, backlog_max=1_000_000)


def test_an_open_door_lets_everything_in() -> None:
    subject = door()
    subject.observe(busy(0.2, 0), 0.0)
    subject.observe(busy(0.3, 1_000), 1.0)
    assert admitted(subject, 1.0, 1.0, 50_000) == 50_000


def test_behind_busy_workers_less_comes_in_than_they_complete() -> None:
    subject = door()
    subject.observe(busy(2.0, 0), 0.0)
    subject.observe(busy(3.0, 8_000), 1.0)
    assert 6_000 < admitted(subject, 1.0, 1.0, 50_000) < 7_500


def test_a_batch_counts_by_its_events() -> None:
    subject = door()
    subject.observe(busy(2.0, 0), 0.0)
    subject.observe(busy(3.0, 8_000), 1.0)
    subject.charge(3_400)
    assert 2_500 < admitted(subject, 1.0, 1.0, 50_000) < 4_000


def test_it_opens_again_when_they_have_caught_up() -> None:
    subject = door()
    subject.observe(busy(2.0, 0), 0.0)
    subject.observe(busy(3.0, 8_000), 1.0)
    subject.observe(busy(0.5, 16_000), 2.0)
    assert admitted(subject, 2.0, 1.0, 50_000) == 50_000


def test_with_no_worker_at_work_deliveries_are_stored_until_the_backlog_is_full() -> None:
    subject = door()
    subject.observe(busy(60.0, 0, workers=0), 0.0)
    subject.observe(busy(61.0, 0, workers=0), 1.0)
    assert admitted(subject, 1.0, 1.0, 10_000) == 10_000
    subject.observe(busy(62.0, 0, queued=1_000_000, workers=0), 2.0)
    assert subject.refusal(2.0, 1) == 5
    subject.observe(busy(1.0, 0, queued=999_999, workers=0), 3.0)
    assert subject.refusal(3.0, 1) is None


def test_when_the_last_worker_stops_the_door_opens_again() -> None:
    for workers in (0, 1):  # gone, or still counted as living because it was seen a moment ago
        subject = door()
        for tick in range(50):
            subject.observe(busy(2.0, 800 * tick), tick / 10)
        assert subject.rate is not None
        for tick in range(50, 90):
            subject.observe(busy(tick / 10, 800 * 49, workers=workers), tick / 10)
        assert admitted(subject, 9.0, 1.0, 10_000) == 10_000


def test_a_worker_that_leaves_is_no_pace_backwards() -> None:
    subject = door()
    subject.observe(busy(2.0, 10_000, workers=2), 0.0)
    subject.observe(busy(2.0, 20_000, workers=2), 1.0)
    subject.observe(busy(2.0, 9_000, workers=1), 2.0)
    assert subject.rate is not None
    assert subject.rate > 5_000


def test_several_doors_share_what_workers_can_do() -> None:
    one, two = door(), Door(lag_max_s=1.0, backlog_max=1_000_000, doors=2)
    for subject in (one, two):
        subject.observe(busy(2.0, 0), 0.0)
        subject.observe(busy(2.0, 8_000), 1.0)
    assert one.rate is not None
    assert two.rate == one.rate / 2


def test_only_the_project_that_is_behind_is_held_back() -> None:
    subject = door()
    subject.observe(busy(2.0, 0), 0.0)
    subject.observe(busy(3.0, 8_000), 1.0)
    assert admitted(subject, 1.0, 0.5, 1_000, project=2) == 500
    assert admitted(subject, 1.5, 0.5, 50_000, project=1) < 3_750


def test_what_others_bring_in_comes_off_the_share_of_the_one_behind() -> None:
    subject = door()
    subject.observe(busy(2.0, 0), 0.0)
    subject.observe(busy(3.0, 8_000), 1.0)
    mixed = [subject.refusal(1.0 + n / 20_000, 1 + n % 2) is None for n in range(20_000)]
    assert sum(mixed[1::2]) == 10_000  # nobody turns them away
    assert sum(mixed[0::2]) < 100
