"""Versions: published while deliveries arrive, each run is of the one that was in force when it was accepted, from its first step
to its last."""

from __future__ import annotations

import json
from typing import Final

from meshproof import scenarios
from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell, Finding, found, invariant

NEEDS: Final = ("plan", "runs", "attempts", "events")
PUBLISH: Final = "publish"


@invariant(
    "versions.named",
    "Every run is of a version that was published, and its journal begins with that one.",
    needs=NEEDS,
)
def named(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM versioned"),
        "runs",
        """
        SELECT NULL, NULL, v.run_id,
               if(v.version IS DISTINCT FROM v.accepted_as, format('of version {}, and accepted as {}', v.version, v.accepted_as),
                                              format('of version {}, which was never published', v.version))
        FROM versioned v
        WHERE v.version IS DISTINCT FROM v.accepted_as
           OR NOT EXISTS (SELECT 1 FROM published p WHERE p.scenario = v.scenario AND p.version = v.version)""",
    )


@invariant(
    "versions.current",
    "A delivery gets the version that is published when it is accepted: none that was not yet, and none that was over already.",
    needs=NEEDS,
)
def current(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    crossed = facts.one(
        """SELECT count(DISTINCT v.run_id) FROM versioned v
           JOIN published p ON p.scenario = v.scenario AND p.version > v.version AND p.ended_us < v.finished_us"""
    )
    finding = found(
        facts,
        facts.one("SELECT count(*) FROM versioned WHERE sent_us IS NOT NULL"),
        "deliveries",
        """
        SELECT NULL, NULL, v.run_id,
               if(p.version > v.version, format('of version {}, and sent {} ms after {} was published', v.version,
                                                (v.sent_us - p.ended_us) // 1000, p.version),
                                         format('of version {}, and acknowledged {} ms before that was published', v.version,
                                                (p.began_us - v.reply_us) // 1000))
        FROM versioned v JOIN published p USING (scenario)
        WHERE (p.version > v.version AND v.sent_us > p.ended_us) OR (p.version = v.version AND v.reply_us < p.began_us)""",
    )
    if not finding.count and not crossed:
        raise CannotTell("no version was published while a run of another was under way")
    return finding


@invariant(
    "versions.monotone",
    "Versions never go back: a delivery that was sent after another was acknowledged gets the same version or a later one.",
    needs=NEEDS,
)
def monotone(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM versioned WHERE sent_us IS NOT NULL"),
        "deliveries",
        """
        WITH marks AS (
            SELECT scenario, run_id, sent_us AS at_us, 0 AS known, version AS mine, NULL AS told
            FROM versioned WHERE sent_us IS NOT NULL
            UNION ALL
            SELECT scenario, run_id, reply_us, 1, NULL, version FROM versioned WHERE reply_us IS NOT NULL
        ), so_far AS (
            SELECT *, max(told) OVER (PARTITION BY scenario ORDER BY at_us, known
                                      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS newest FROM marks)
        SELECT NULL, NULL, run_id, format('of version {}, and one of version {} was acknowledged before it was sent', mine, newest)
        FROM so_far WHERE known = 0 AND newest > mine""",
    )


def publish(facts: Facts) -> None:
    """published: one row a version: (scenario, version, began_us, ended_us), from when to when it was published.

    versioned: one row a run that a delivery began: (run_id, scenario, version, accepted_as, sent_us, reply_us, finished_us).
    """
    facts.con.execute("CREATE TABLE published (scenario VARCHAR, version INTEGER, began_us BIGINT, ended_us BIGINT)")
    for name in _versioned(facts):
        facts.con.execute("INSERT INTO published VALUES (?, 1, 0, 0)", [name])
        for began_us, ended_us, reply in facts.rows(
            "SELECT began_us, ended_us, reply FROM acts WHERE scenario = $1 AND name = $2", name, PUBLISH
        ):
            facts.con.execute(
                "INSERT INTO published VALUES (?, ?, ?, ?)", [name, json.loads(reply)["version"], began_us, ended_us]
            )
    facts.con.execute(
        """CREATE TABLE versioned AS
           SELECT r.run_id, a.scenario, any_value(r.version) AS version, any_value(r.finished_us) AS finished_us,
                  any_value(TRY_CAST(TRY(json_extract_string(e.event, '$.version')) AS INTEGER)) AS accepted_as,
                  min(a.sent_us) AS sent_us, min(a.reply_us) FILTER (a.outcome = 'ok') AS reply_us
           FROM runs r
           JOIN attempts a ON a.endpoint = r.endpoint AND a.delivery = r.delivery
           JOIN events e ON e.run_id = r.run_id AND e.seq = 1
           WHERE list_contains($1::VARCHAR[], a.scenario)
           GROUP BY r.run_id, a.scenario""",
        [_versioned(facts)],
    )


def _versioned(facts: Facts) -> list[str]:
    return [name for name in sorted(facts.plan["scenarios"]) if scenarios.load(name).model_of is not None]


def _nothing(facts: Facts) -> Finding | None:
    if not _versioned(facts):
        return Finding(1, "plans", 0, [], note="each workflow of this run has one version")
    facts.require("acts")
    facts.once(publish)
    if facts.one("SELECT count(*) FROM published WHERE version > 1") == 0:
        raise CannotTell("no other version was published")
    return None
