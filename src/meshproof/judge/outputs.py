"""Has every finished run weighed (weigh.py), by helper processes where there are many, and keeps what is wrong as facts.

weighing       how many runs were weighed
output_faults  one row for each run and invariant broken: journal.fold, completion.status, completion.output, intake.body
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Final

import msgspec

from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell
from meshproof.judge.modelled import without_model
from meshproof.judge.shapes import replay_shapes
from meshproof.judge.weigh import Weighed, weigh_file

ALONE_RUNS: Final = 20_000
"""Up to so many runs one process is faster than starting others."""
PART_RUNS: Final = 200_000
"""So many runs are put together at once: what has to be in memory for it is bounded."""


class HelperDied(RuntimeError):
    """A helper process could not do its part; the message says why."""


class Answer(msgspec.Struct, omit_defaults=True):
    """What a helper process says of its part."""

    faults: list[Weighed] = []
    cannot_tell: str | None = None
    crashed: str | None = None


def weigh_outputs(facts: Facts) -> None:
    """Derive the tables of this module."""
    facts.require("attempts", "runs", "journals", "plan")
    facts.once(replay_shapes)
    finished: int = facts.one("SELECT count(*) FROM runs WHERE finished")
    # The work goes through files, not through pipes: helpers read their part of it faster than they could be told.
    parts = 1 if finished <= ALONE_RUNS else max(_cores(), finished // PART_RUNS + 1)
    files = [facts.scratch / f"finished-{part}.ndjson" for part in range(parts)]
    facts.con.execute(_BODIES)
    facts.con.execute("CREATE TABLE unmodelled AS SELECT unnest($1::VARCHAR[]) AS scenario", [without_model(facts)])
    runs = sum(
        facts.one(f"COPY ({_FINISHED.format(parts=parts, part=part)}) TO '{file}' (FORMAT json)")
        for part, file in enumerate(files)
    )
    facts.con.execute("DROP TABLE bodies")
    facts.con.execute("CREATE TABLE weighing AS SELECT $1::BIGINT AS runs", [runs])
    wrong = _weigh_all(int(facts.plan["seed"]), files)
    for file in files:
        file.unlink()
    facts.con.execute("CREATE TABLE output_faults (run_id UUID, invariant VARCHAR, why VARCHAR)")
    facts.con.execute(
        "INSERT INTO output_faults SELECT unnest($1::VARCHAR[])::UUID, unnest($2::VARCHAR[]), unnest($3::VARCHAR[])",
        [[fault[column] for fault in wrong] for column in range(3)],
    )


def weighed(facts: Facts) -> int:
    """How many runs are weighed: the finished ones with a terminal event and a sender."""
    facts.once(weigh_outputs)
    runs: int = facts.one("SELECT runs FROM weighing")
    return runs


# What was sent under each delivery id: one entry a body.
_BODIES: Final = """
    CREATE TABLE bodies AS
    WITH each_body AS (
        SELECT endpoint, delivery, scenario, index, hash,
               bool_or(outcome = 'ok') AS acknowledged, bool_or(outcome <> 'fail') AS possible
        FROM attempts GROUP BY endpoint, delivery, scenario, index, hash)
    SELECT endpoint, delivery,
           list(json_array(scenario, index, hash, acknowledged, possible) ORDER BY scenario, index, hash) AS bodies
    FROM each_body GROUP BY endpoint, delivery
"""

# One line a run, of one part of the runs: weigh.Run.
_FINISHED: Final = """
    WITH outputs AS (
        SELECT e.run_id,
               list(e.node ORDER BY e.seq, e.row_seq) AS nodes,
               list(e.event ORDER BY e.seq, e.row_seq) AS events
        FROM events e JOIN shaped USING (run_id) JOIN leaves l ON l.id = shaped.id AND l.node = e.node
        WHERE e.type = 'step.completed' AND hash(e.run_id) % {parts} = {part} GROUP BY e.run_id),
    ends AS (
        SELECT run_id, max_by(event, seq) AS event
        FROM events
        WHERE type IN ('run.completed', 'run.failed', 'run.cancelled') AND hash(run_id) % {parts} = {part} GROUP BY run_id)
    SELECT r.run_id, r.status, r.version, ends.event AS "end", shapes.status AS folds_to, shapes.several,
           coalesce(o.nodes, []) AS leaves, coalesce(o.events, []) AS outputs, s.bodies,
           coalesce(g.gathered, []) AS gathered, firsts.event AS accepted
    FROM runs r
    JOIN ends USING (run_id)
    JOIN shaped USING (run_id)
    JOIN shapes ON shapes.id = shaped.id
    -- A replay is made of what its original was made of.
    LEFT JOIN origins f USING (run_id)
    LEFT JOIN runs original ON original.run_id = f.replay_of
    JOIN bodies s ON s.endpoint = coalesce(r.endpoint, original.endpoint)
                 AND s.delivery = if(original.run_id IS NULL, r.delivery, original.delivery)
    LEFT JOIN outputs o USING (run_id)
    -- Where no model says what must come of a body, the run is at least made of it.
    LEFT JOIN (SELECT e.run_id, any_value(e.event) AS event
               FROM events e JOIN journals j USING (run_id) JOIN unmodelled u ON u.scenario = j.scenario
               WHERE e.type = 'run.accepted' AND e.seq = 1 AND hash(e.run_id) % {parts} = {part}
               GROUP BY e.run_id) firsts USING (run_id)
    -- Of several deliveries in one run, each has one body.
    LEFT JOIN (SELECT k.run_id, list(b.bodies[1] ORDER BY k.place) AS gathered
               FROM kept k JOIN bodies b ON b.endpoint = k.endpoint AND b.delivery = k.delivery
               WHERE k.run_id IN (SELECT run_id FROM kept WHERE place > 1) GROUP BY k.run_id) g USING (run_id)
    WHERE r.finished
"""


def _weigh_all(seed: int, files: list[Path]) -> list[Weighed]:
    if len(files) == 1:
        return weigh_file(seed, files[0])
    cores = _cores()
    with _helpers(seed, [files[core::cores] for core in range(min(cores, len(files)))]) as helpers:
        return [fault for helper in helpers for fault in _faults(helper)]


@contextmanager
def _helpers(seed: int, shares: list[list[Path]]) -> Iterator[list[Popen[bytes]]]:
    helpers: list[Popen[bytes]] = []
    try:
        for files in shares:
            command = [sys.executable, "-m", "meshproof.judge.helper", str(seed), *map(str, files)]
            helpers.append(Popen(command, stdout=PIPE))
        yield helpers
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()
            assert helper.stdout is not None
            helper.stdout.close()


def _faults(helper: Popen[bytes]) -> list[Weighed]:
    said, _ = helper.communicate()
    if helper.returncode:
        raise HelperDied(f"a helper of the judge ended with exit code {helper.returncode}")
    answer = msgspec.json.decode(said, type=Answer)
    if answer.cannot_tell:
        raise CannotTell(answer.cannot_tell)
    if answer.crashed:
        raise HelperDied(answer.crashed)
    return answer.faults


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
