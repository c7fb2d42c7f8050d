"""`signatures`: what does it cost the door to check a signature? The same signed requests to two endpoints, one of which looks.

The worker is stopped meanwhile: it is accepting that is measured. Both endpoints get signed requests, so that signing costs the
sender the same, and both remember the key of each delivery.
"""

from __future__ import annotations

from base64 import b64encode
from statistics import median
from typing import Any, Final

from meshproof.bench.engine import SCENARIO, Bench, light_job, place, publish, send, until_drained
from meshproof.bench.figures import bootstrap
from meshproof.load.light import Report

KEY: Final = b"a key of the benchmark, 32 bytes"
NAME: Final = "BENCH"
CHECKED: Final = "bench-signed"
CONFIG: Final = {"signature": {"scheme": "standard_webhooks", "secrets": [NAME]}}


async def signatures(bench: Bench) -> dict[str, Any]:
    """Both in turn, as often as everything else is measured; the ratio is taken within each round."""
    await publish(bench, SCENARIO)
    await bench.target.api.keep_secret(NAME, f"whsec_{b64encode(KEY).decode()}")
    await bench.target.api.bind(CHECKED, place(SCENARIO), CONFIG)
    await bench.target.stop_workers()
    plain, checked = [], []
    for number in range(bench.scale.rounds):
        bench.display.step(f"Signed deliveries, looked at and not, round {number + 1} of {bench.scale.rounds}")
        plain.append(_rate(await _send(bench, place(SCENARIO), f"p{number}")))
        checked.append(_rate(await _send(bench, CHECKED, f"c{number}")))
        bench.display.note(f"{plain[-1]:,.0f}/s, {checked[-1]:,.0f}/s when checked")
    await bench.target.start_workers()
    await until_drained(bench)
    ratios = [one / other for one, other in zip(checked, plain, strict=True)]
    return {
        "accepted_per_s": median(checked),
        "accepted_per_s_rounds": checked,
        "unchecked_per_s_rounds": plain,
        "of_unchecked": median(ratios),
        "of_unchecked_interval": bootstrap(ratios),
    }


async def _send(bench: Bench, endpoint: str, namespace: str) -> Report:
    return await send(bench, light_job(bench, endpoint=endpoint, namespace=f"signed{namespace}", signed_with=KEY))


def _rate(report: Report) -> float:
    return report.accepted / report.seconds
