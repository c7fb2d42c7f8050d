"""Figures in the documentation, out of the runs they come from, so that none goes stale unseen.

    python tools/findings.py add build/soak soak    keep what a run told as docs/concurrency/runs/soak, and fill the pages
    python tools/findings.py                        fill the pages again
    python tools/findings.py check                  say which pages are not as the runs tell; exit code 1

A page holds a template in a comment, and what was made of it below:

    <!-- from the runs:
    Finished: {bench:pipeline.runs_per_s ,.0f} runs a second.
    -->
    Finished: 6,564 runs a second.
    <!-- / -->

`{NAME:PATH FORMAT}` is a figure: NAME the folder of a run that is kept, PATH the way through its `summary.json` or the rows of
its `bench.json`; another file of it is named with a slash, `stress/analysis.json:breaking_per_s`. Two paths with a plus between
them are added up. FORMAT is Python's, as `,.0f`, or one of `MB`, `date` and `day`. `{NAME/terminal.txt}` is what the terminal said,
and `{runs}` a table of every run that is kept. Change the template, never what is below it.

`tests/test_findings.py` fails where a page and its runs differ.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console

from meshproof.judge import verdicts
from meshproof.ledger import read_document, write_document
from meshproof.measure.baselines import trimmed
from meshproof.profiles.session import Result
from meshproof.verdict_table import show

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "docs" / "concurrency" / "runs"
DOCUMENTS = ("summary.json", "bench.json", "series.json", "analysis.json", "levels.json")
TERMINAL = "terminal.txt"
WIDTH = 120
BLOCK = re.compile(r"(<!-- from the runs:\n)(.*?)(\n-->\n)(.*?)(<!-- / -->)", re.DOTALL)
FIGURE = re.compile(r"\{([\w./-]+):([\w.+-]+) ([^\s{}]+)\}")
TEXT = re.compile(r"\{([\w-]+/[\w.-]+)\}")
BYTES_MAX = 256 * 1024
"""A run that is kept is for reading figures from it, not for judging it again."""


class FigureError(ValueError):
    """A mark that can't be filled in; the message says which, why, and what was perhaps meant."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command")
    adding = commands.add_parser("add", help="keep what a run told, and fill the pages")
    adding.add_argument("folder", type=Path, help="folder of a run or of a benchmark, or its bench.json")
    adding.add_argument("name", help="what it is called from now on; one of that name is replaced")
    commands.add_parser("check", help="say which pages are not as the runs tell")
    asked = parser.parse_args()
    try:
        if asked.command == "add":
            print(add(asked.folder, RUNS / asked.name).relative_to(ROOT))
        changed = [
            page for page in pages() if fill(page.read_text(encoding="utf-8")) != page.read_text(encoding="utf-8")
        ]
        for page in changed:
            print(page.relative_to(ROOT))
            if asked.command != "check":
                page.write_text(fill(page.read_text(encoding="utf-8")), encoding="utf-8")
    except FigureError as error:
        sys.exit(f"findings: {error}")
    sys.exit(asked.command == "check" and bool(changed))


def pages() -> list[Path]:
    """Every page there is."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def fill(page: str) -> str:
    """A page with what comes of each of its templates below it; raises FigureError."""
    return BLOCK.sub(lambda block: f"{block[1]}{block[2]}{block[3]}\n{made_of(block[2])}\n\n{block[5]}", page)


def made_of(template: str) -> str:
    """A template with its figures, texts and tables filled in; raises FigureError."""
    made = FIGURE.sub(lambda mark: shown(mark[1], mark[2], mark[3]), template)
    made = TEXT.sub(lambda mark: f"```\n{said(mark[1])}```", made)
    return made.replace("{runs}", table())


def shown(run: str, path: str, form: str) -> str:
    """A figure of a run as it stands in a page."""
    values = [look_up(run, each) for each in path.split("+")]
    value = values[0] if len(values) == 1 else sum(values)
    try:
        if form == "MB":
            return f"{value / 1e6:,.0f} MB"
        if form in ("date", "day"):
            at = datetime.fromtimestamp(value / 1e6, UTC)
            return f"{at.day} {at:%B %Y}" if form == "day" else f"{at:%Y-%m-%d %H:%M} UTC"
        return format(value, form)
    except (TypeError, ValueError) as error:
        raise FigureError(f"{run}:{path} is {value!r}, which has no form {form!r}: {error}") from None


def look_up(run: str, path: str) -> Any:
    """What stands at the end of a path; raises FigureError."""
    value: Any = document_of(run)
    for word in path.split("."):
        if isinstance(value, list) and word.isdigit() and int(word) < len(value):
            value = value[int(word)]
        elif isinstance(value, dict) and word in value:
            value = value[word]
        else:
            there = list(value) if isinstance(value, dict) else []
            likely = get_close_matches(word, map(str, there), cutoff=0.3)
            raise FigureError(f"{run}:{path}: there is no {word!r}.{f' Did you mean {likely[0]}?' if likely else ''}")
    return value


def table() -> str:
    """Every run that is kept: what it was, what was proved, and its figures. Of a series, its runs together."""
    lines = [
        "| run | verdict | runs | lost, duplicated, wrong, stuck | finished | end to end p50, p99 | commit |",
        "|---|---|---|---|---|---|---|",
    ]
    for folder in sorted(RUNS.iterdir()):
        if (folder / "summary.json").exists():
            told = read_document(folder / "summary.json")
            lines.append(line(folder.name, f"`{told['profile']}` `{told['scenario']}`", told["verdict"], [told]))
        elif (folder / "series.json").exists():
            series = read_document(folder / "series.json")
            summaries = [part["summary"] for part in series["parts"] if part["summary"]]
            lines.append(
                line(folder.name, f"`{series['kind']}`, {len(series['parts'])} runs", series["verdict"], summaries)
            )
    return "\n".join(lines)


def line(name: str, what: str, verdict: str, summaries: list[dict[str, Any]]) -> str:
    """A run in the table, or the sums of several; figures only of one."""

    def total(key: str) -> str:
        known = [told[key] for told in summaries]
        return "?" if None in known else f"{sum(known):,}"

    told = summaries[0] if len(summaries) == 1 else dict.fromkeys(("completed_per_s", "end_to_end_ms"))
    late, pace = told["end_to_end_ms"], told["completed_per_s"]
    commits = sorted({(one["commit"] or "?")[:8] for one in summaries})
    cells = (
        f"[{name}](runs/{name}): {what}",
        verdict,
        total("runs"),
        ", ".join(map(total, ("lost", "duplicated", "wrong", "stuck"))),
        "" if pace is None else f"{pace:,.0f}/s",
        f"{late['p50']:,.1f} ms, {late['p99']:,.1f} ms" if late else "",
        ", ".join(f"`{commit}`" for commit in commits),
    )
    return f"| {' | '.join(cells)} |"


@cache
def document_of(run: str) -> Any:
    """The document of a run that a mark names: its summary, the rows of its benchmark, or the file behind the slash."""
    if run.endswith(".json"):
        path = RUNS / run
    else:
        path = next(
            (RUNS / run / name for name in DOCUMENTS if (RUNS / run / name).exists()), RUNS / run / DOCUMENTS[0]
        )
    if not path.exists():
        kept = ", ".join(sorted(folder.name for folder in RUNS.iterdir() if folder.is_dir()))
        raise FigureError(
            f"{path.relative_to(ROOT)} is not there. Kept are {kept}; add one: python tools/findings.py add DIR NAME"
        )
    document = read_document(path)
    return {**document, **document["rows"]} if path.name == "bench.json" else document


def said(file: str) -> str:
    """A text kept of a run; raises FigureError."""
    path = RUNS / file
    if not path.exists():
        raise FigureError(f"{path.relative_to(ROOT)} is not there.")
    return path.read_text(encoding="utf-8")


def add(folder: Path, kept: Path) -> Path:
    """Keep what a run told: its small documents without what matters to itself alone, and what it said on the terminal."""
    files = [folder] if folder.is_file() else [folder / name for name in DOCUMENTS if (folder / name).exists()]
    if not files or not any(file.name in DOCUMENTS[:3] for file in files):
        raise FigureError(
            f"{folder} holds no summary.json and no bench.json: give the folder of a run that was judged."
        )
    documents = {file.name: read_document(file) for file in files}
    small = {name: smaller(value) for name, value in documents.items()}
    for name in (*DOCUMENTS, TERMINAL):
        (kept / name).unlink(missing_ok=True)
    for name, value in small.items():
        write_document(kept / name, value)
        if (size := (kept / name).stat().st_size) > BYTES_MAX:
            raise FigureError(f"{kept / name} has {size:,} bytes; at most {BYTES_MAX:,} are kept in the repository.")
    if (folder / "verdicts.json").exists():
        (kept / TERMINAL).write_text(terminal(folder, documents["summary.json"]), encoding="utf-8")
    document_of.cache_clear()
    return kept


def smaller(value: Any) -> Any:
    """A document without what matters to its own run alone, and without histograms, at any depth."""
    if isinstance(value, list):
        return [smaller(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: smaller(each) for key, each in trimmed(value).items() if key != "histograms"}


def terminal(folder: Path, summary: dict[str, Any]) -> str:
    """What a run prints at its end, without the way to its report."""
    text = io.StringIO()
    judged = verdicts.read((folder / "verdicts.json").read_bytes())
    show(Console(file=text, width=WIDTH), Result(folder, judged, summary, folder / "report.html"))
    *lines, _where = text.getvalue().strip("\n").splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


if __name__ == "__main__":
    main()
