"""What is flushed is on disk, whole; a line that was cut off is nobody's word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from meshproof.ledger import LineWriter, read_document, read_lines, write_document


def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    lines = [{"n": n, "text": "żółć\n\u2028\0", "big": 2**63} for n in range(1000)]
    with LineWriter(tmp_path / "deep" / "a.ndjson") as writer:
        for line in lines:
            writer.add_json(line)
    assert list(read_lines(tmp_path / "deep" / "a.ndjson")) == lines


def test_evidence_is_never_overwritten(tmp_path: Path) -> None:
    LineWriter(tmp_path / "a.ndjson").close()
    with pytest.raises(FileExistsError):
        LineWriter(tmp_path / "a.ndjson")


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b'{"n":1}\n{"n":2')
    assert list(read_lines(path)) == [{"n": 1}]


def test_a_flushed_line_outlives_a_killed_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    program = (
        "import sys, pathlib; from meshproof.ledger import LineWriter\n"
        "w = LineWriter(pathlib.Path(sys.argv[1])); w.add(b'{\"n\":1}'); w.flush(); w.add(b'{\"n\":2}')\n"
        "print('flushed', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"flushed\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert list(read_lines(path)) == [{"n": 1}]


def test_documents_round_trip(tmp_path: Path) -> None:
    document = {"a": [1, None, "ż"], "b": {"c": 1.5}}
    write_document(tmp_path / "x" / "d.json", document)
    write_document(tmp_path / "x" / "d.json", document)
    assert read_document(tmp_path / "x" / "d.json") == document
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["d.json"]
