"""`overload`: three times what the engine can carry; does it go on finishing runs, and refuse the rest politely?"""

from __future__ import annotations

from typing import Any

from meshproof.bench.engine import Bench, light_job, span
from meshproof.stats import Histogram

OVERLOAD_CONNECTIONS = 4_000


async def overload(bench: Bench, best_per_s: float) -> dict[str, Any]:
    """Offer three times the best rate, and count what is finished meanwhile."""
    rate = 3 * best_per_s
    bench.display.step(f"Offering {rate:,.0f}/s, three times what it carries")
    job = light_job(bench, seconds=bench.scale.overload_s, rate=rate, connections=OVERLOAD_CONNECTIONS)
    measured = await span(bench, job)
    report = measured.report
    bench.display.note(f"{measured.completed_per_s:,.0f}/s finished")
    return {
        "offered_per_s": rate,
        "sent_per_s": report.sent / report.seconds,
        "accepted_per_s": report.accepted / report.seconds,
        "refused_per_s": report.refused / report.seconds,
        "refused_without_retry_after": report.refused_without_retry_after,
        "failed": report.failed,
        "unsent": report.unsent,
        "completed_per_s": measured.completed_per_s,
        "of_best": measured.completed_per_s / best_per_s if best_per_s else None,
        **{f"{name}_per_run": spent / measured.accepted for name, spent in measured.spent.items() if measured.accepted},
        "accept_ms": Histogram.decode(report.accept).milliseconds(),
        "generator_cpu_share": report.cpu_share,
    }
