"""JUnit XML: what stands in it, and that it has the form CI servers read."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from defusedxml import ElementTree
from documents import summary
from story import Story

from meshproof.judge import FAMILIES, judge
from meshproof.judge.verdicts import Verdict, Verdicts
from meshproof.measure import junit, thresholds
from meshproof.measure.junit import Told


class Element(NamedTuple):
    """What the schema of Jenkins (junit-10.xsd) allows an element; `error` is what Surefire calls its `errors`."""

    required: frozenset[str]
    allowed: frozenset[str]
    children: frozenset[str]


def element(required: str = "", allowed: str = "", children: str = "") -> Element:
    return Element(
        frozenset(required.split()), frozenset((required + " " + allowed).split()), frozenset(children.split())
    )


SCHEMA = {
    "testsuites": element("", "name time tests failures errors", "testsuite"),
    "testsuite": element(
        "name tests failures errors",
        "group time skipped timestamp hostname id package file log url version",
        "testsuite properties testcase system-out system-err",
    ),
    "properties": element(children="property"),
    "property": element("name value"),
    "testcase": element("name", "time classname group", "skipped error failure system-out system-err"),
    "failure": element("", "type message"),
    "error": element("", "type message"),
}


def assert_valid(root: ElementTree.Element) -> None:
    """Hold a document against the schema."""
    for each in root.iter():
        rule = SCHEMA[each.tag]
        assert rule.required <= each.attrib.keys() <= rule.allowed, each.attrib
        assert {child.tag for child in each} <= rule.children
        assert not (each.tag == "property" and list(each))


@pytest.fixture(scope="module")
def violated(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """Of three deliveries one is acknowledged and not stored, and its reply holds what XML can't; the generator was slow."""
    story = Story()
    story.taken_over(1)
    story.delivered(3)
    story.attempt("d2", run=2, problem="a \x00 b <c> & \uffff")
    assert story.generator is not None
    story.generator["calibration_per_s"] = 100
    return judge(story.write(tmp_path_factory.mktemp("violated")))


@pytest.fixture(scope="module")
def written(violated: Verdicts, tmp_path_factory: pytest.TempPathFactory) -> ElementTree.Element:
    """The file of that run, with a threshold that is kept, one that is broken and one that can't be told."""
    held = thresholds.hold(
        thresholds.parse('"lost" = "== 0"\n"cpu_ms_per_run" = "<= 1"\n"queue_ms.p99" = "<= 1"'), summary()
    )
    path = tmp_path_factory.mktemp("junit") / "deep" / "junit.xml"
    junit.write(path, [Told(summary(), violated, held)])
    return ElementTree.parse(path).getroot()


def cases(root: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {case.attrib["name"]: case for case in root.iter("testcase")}


def test_it_has_the_form_ci_servers_read(written: ElementTree.Element) -> None:
    assert_valid(written)


def test_a_suite_a_family_and_a_case_an_invariant(written: ElementTree.Element, violated: Verdicts) -> None:
    suites = [suite.attrib["name"].rpartition(".")[2] for suite in written]
    assert suites == [*FAMILIES, "thresholds"]
    assert list(cases(written))[:-3] == [result.name for result in violated.results]


def test_what_is_violated_fails_with_its_counterexample(written: ElementTree.Element) -> None:
    (failure,) = cases(written)["intake.lost"]
    assert failure.tag == "failure"
    assert "1 of 3 acknowledged deliveries break it" in failure.attrib["message"]
    assert "delivery d2" in failure.text
    assert "→ attempt 2, first" in failure.text
    assert "no run of this delivery is stored" in failure.text
    assert "a \N{REPLACEMENT CHARACTER} b <c> & \N{REPLACEMENT CHARACTER}" in failure.text


def test_what_is_unknown_or_unfair_is_an_error_and_never_passes(
    written: ElementTree.Element, violated: Verdicts
) -> None:
    for result in violated.results:
        outcome = [child.tag for child in cases(written)[result.name]]
        if result.verdict is Verdict.PASS:
            assert outcome == []
        elif result.verdict is Verdict.UNKNOWN or result.family == "validity":
            assert outcome == ["error"], result.name
        else:
            assert outcome == ["failure"], result.name
    assert [child.attrib["type"] for child in cases(written)["validity.generator"]] == ["invalid"]


def test_thresholds_are_cases_too(written: ElementTree.Element) -> None:
    found = cases(written)
    assert list(found["lost == 0"]) == []
    assert [(child.tag, child.attrib["message"]) for child in found["cpu_ms_per_run <= 1"]] == [
        ("failure", "cpu_ms_per_run is 2.000 ms")
    ]
    assert [child.tag for child in found["queue_ms.p99 <= 1"]] == ["error"]


def test_the_sums_add_up(written: ElementTree.Element) -> None:
    for each in (written, *written):
        found = [child.tag for case in each.iter("testcase") for child in case]
        assert int(each.attrib["tests"]) == len(list(each.iter("testcase")))
        assert int(each.attrib["failures"]) == found.count("failure")
        assert int(each.attrib["errors"]) == found.count("error")
    assert int(written.attrib["failures"]) >= 2
    assert int(written.attrib["errors"]) >= 2


def test_the_runs_of_a_series_have_suites_of_their_own(violated: Verdicts) -> None:
    runs = [Told(summary(), violated, name="one"), Told(summary(), violated, name="two"), Told({"rows": {}, "lost": 0})]
    root = ElementTree.fromstring(junit.document(runs))
    assert_valid(root)
    names = [suite.attrib["name"] for suite in root]
    assert len(names) == len(set(names)) == 2 * len(FAMILIES)
    assert names[0] == "meshproof.load.mixed.one.intake"
