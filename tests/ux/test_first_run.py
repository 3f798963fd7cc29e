"""A first run works where there is nothing, and says what comes next (no. 2); it names nobody."""

import json

from harness.cli.check import main as check
from harness.evidence.private import rules, veil


def test_it_ends_well_and_writes_everything(first_run) -> None:
    """Exit 0, all files of the contract, the report, and a command to type next."""
    assert first_run.status == 0, first_run.err
    for name in ("manifest.json", "cells.csv", "metrics.csv", "phases.csv", "events.jsonl",
                 "traces/independent-s0-r0.csv.gz", "affinity/mas-splits-2-s0-r0.csv",
                 "report/index.html", "report/tables/main.tex"):  # fmt: skip
        assert (first_run.folder / name).stat().st_size > 0, name
    (line,) = (line for line in first_run.out.splitlines() if line.startswith("Next"))
    assert "python -m harness.run" in line
    assert "--quick" not in line


def test_it_says_that_it_is_for_trying_only(first_run, capsys) -> None:
    """The manifest, the last screen and check agree that a quick run is no result."""
    assert json.loads((first_run.folder / "manifest.json").read_text())["quick"] is True
    assert "not for publication" in first_run.out
    assert check([str(first_run.folder)]) == 4
    assert "not for publication" in capsys.readouterr().out


def test_check_finds_no_damage_in_what_run_writes(first_run, capsys) -> None:
    """What one command writes the other reads: all cells, files and sums are there."""
    check([str(first_run.folder), "--json"])
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["size"].startswith("2 of 2 cells done")
    assert {f["level"] for f in run["findings"]} <= {"unstable", "limit", "note"}, run


def test_no_file_names_a_person_or_a_machine(first_run) -> None:
    """No home folder, host name, serial number or hardware address in any text."""
    known = rules(first_run.home)
    for path in first_run.folder.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".jsonl", ".csv", ".html", ".tex", ".md"):
            text = path.read_text()
            assert veil(text, known)[1] == [], path
            assert first_run.home.name not in text, path
