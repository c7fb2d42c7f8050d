"""JUnit XML: the verdict in the form CI servers show; a suite a family, a case an invariant or a threshold.

A violated invariant is a failure, with its counterexamples. What could not be judged, and a run that was no fair test, is an
error: neither is a pass, and CI must not show it as one. The form is that of Maven Surefire, as Jenkins, GitLab and GitHub's
tools read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from meshproof.judge.examples import EXAMPLES_MAX
from meshproof.judge.invariant import VALIDITY
from meshproof.judge.story import lines
from meshproof.judge.verdicts import Result, Verdict, Verdicts
from meshproof.measure import metrics
from meshproof.measure.thresholds import Held

# What XML 1.0 can't hold in any form: payloads are made to contain it.
FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Told:
    """What is to be told of one run: its `summary.json` or `bench.json`, what the judge says, and what became of its thresholds."""

    document: dict[str, Any]
    verdicts: Verdicts | None = None
    held: Sequence[Held] = ()
    name: str = ""
    """That of the run in a series."""

    @property
    def suite(self) -> str:
        """What its suites are called, before the family."""
        words = ("meshproof", self.document.get("profile", "bench"), self.document.get("scenario"), self.name)
        return ".".join(str(word) for word in words if word)


def write(path: Path, runs: Sequence[Told]) -> None:
    """Write the file, and the folder it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(document(runs))


def document(runs: Sequence[Told]) -> bytes:
    """The bytes of the file."""
    root = ElementTree.Element("testsuites", name="meshproof")
    for run in runs:
        results = run.verdicts.results if run.verdicts else []
        for family, members in groupby(results, key=lambda result: result.family):
            _suite(root, f"{run.suite}.{family}", run.document, (_invariant(run.suite, result) for result in members))
        if run.held:
            _suite(root, f"{run.suite}.thresholds", run.document, (_threshold(run.suite, one) for one in run.held))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, 0)) for suite in root)))
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _suite(root: ElementTree.Element, name: str, summary: dict[str, Any], cases: Iterable[ElementTree.Element]) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=name)
    properties = ElementTree.SubElement(suite, "properties")
    for key in ("profile", "scenario", "seed", "commit", "verdict"):
        ElementTree.SubElement(properties, "property", name=key, value=_clean(str(summary.get(key))))
    suite.extend(cases)
    kinds = [child.tag for case in suite.iter("testcase") for child in case]
    suite.set("tests", str(sum(1 for _ in suite.iter("testcase"))))
    suite.set("failures", str(kinds.count("failure")))
    suite.set("errors", str(kinds.count("error")))
    suite.set("skipped", "0")


def _invariant(name: str, result: Result) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=f"{name}.{result.family}", name=result.name)
    if result.verdict is Verdict.FAIL:
        unfair = result.family == VALIDITY
        what = ElementTree.SubElement(case, "error" if unfair else "failure", type="invalid" if unfair else "violated")
        what.set("message", _clean(f"{result.says} {result.sentence}"))
        what.text = _clean("\n\n".join("\n".join(lines(one)) for one in result.examples[:EXAMPLES_MAX]))
    elif result.verdict is not Verdict.PASS:
        ElementTree.SubElement(case, "error", type="unknown", message=_clean(result.sentence))
    return case


def _threshold(name: str, held: Held) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=f"{name}.thresholds", name=str(held.threshold))
    if held.value is None:
        ElementTree.SubElement(case, "error", type="unknown", message="The run does not tell this figure.")
    elif held.verdict is Verdict.FAIL:
        measured = f"{held.threshold.metric} is {metrics.shown(held.threshold.metric, held.value)}"
        ElementTree.SubElement(case, "failure", type="threshold", message=measured)
    return case


def _clean(text: str) -> str:
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
