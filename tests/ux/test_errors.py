"""Every error has a status that is documented, a cause and a remedy (no. 5)."""

import json
import pickle
import re
import shutil
from pathlib import Path

import pytest

import harness.core.errors
from harness.cli import check, compare, doctor, pack, run
from harness.cli import list as listing
from harness.core.command_frame import run_command
from harness.core.errors import (
    HarnessError,
    MeterMissingError,
    SeveralProblems,
    UsageError,
    catalogue,
    unknown,
)
from harness.core.parser import Parser
from harness.core.schema import SCHEMA_VERSION
from harness.evidence.cell_flags import FLAGS
from harness.workloads.multitask.commands import infer, split

GOLDEN = Path(__file__).parents[1] / "fixtures" / "runs" / "schema1"
COMMANDS = {
    "run": run.main, "check": check.main, "compare": compare.main, "pack": pack.main,
    "list": listing.main, "infer": infer.main, "split": split.main, "doctor": doctor.main,
}  # fmt: skip


def classes(top: type[HarnessError]) -> set[type[HarnessError]]:
    return {top}.union(*(classes(c) for c in top.__subclasses__()))


def test_every_class_has_a_documented_status_a_word_and_a_meaning() -> None:
    """Statuses are those that the module's own text lists; words for programs are unique."""
    documented = harness.core.errors.__doc__ or ""
    found = [c for c in classes(HarnessError) if c.__module__.startswith("harness")]
    assert len(found) > 10
    words = [c.code for c in found]
    assert sorted(words) == sorted(set(words))
    for c in found:
        assert re.search(rf"(^|\s){c.exit_status} ", documented), c
        assert (c.__doc__ or "").strip(), c


def test_an_error_shows_cause_code_and_remedy() -> None:
    assert HarnessError("It broke.", "Mend it.").shown() == "It broke. [internal]\n  Mend it."
    assert HarnessError("It broke.").shown() == f"It broke. [internal]\n  {HarnessError.usually}"


def test_several_errors_are_numbered_each_with_its_code() -> None:
    """The status is the first one's."""
    both = SeveralProblems([UsageError("No.", "Yes."), MeterMissingError("None.", "Some.")])
    assert both.shown() == "2 problems [several]\n1. No. [usage]\n  Yes.\n2. None. [meter]\n  Some."
    assert both.exit_status == 2


@pytest.mark.parametrize("kind", catalogue(), ids=lambda kind: kind.code)
def test_an_error_survives_the_way_between_processes(kind) -> None:
    """Workers hand their errors on with cause, remedy and status."""
    error = kind([UsageError("a", "b")]) if kind is SeveralProblems else kind("a", "b")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.shown()) == (kind, error.shown())
    assert again.exit_status == error.exit_status


def test_every_flag_of_a_spoilt_cell_has_a_remedy() -> None:
    """Throttled, under-voltage, swapped, another power mode: what happened and what to do."""
    for flag, (level, meaning, remedy) in FLAGS.items():
        assert meaning, flag
        assert bool(remedy) == (level != "note"), flag


@pytest.fixture
def places(tmp_path) -> dict[str, str]:
    """Return a sound run, one of a later version, one cut short, and files that are wrong."""
    made = {name: tmp_path / name for name in ("sound", "newer", "cut", "other")}
    for path in made.values():
        shutil.copytree(GOLDEN, path)
    _change(made["newer"], schema_version=SCHEMA_VERSION + 1)
    _change(made["other"], run_id="other", meter={"name": "plug", "scope": "wall"})
    with (made["cut"] / "cells.csv").open("r+b") as stream:
        stream.truncate(40)
    (tmp_path / "key.toml").write_text("ruonds = 3\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    return {**{k: str(v) for k, v in made.items()}, "at": str(tmp_path)}


def _change(folder: Path, **values: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("command", "words", "status", "cause", "remedy"),
    [
        ("run", "--device jetson-nan", 2, "unknown device", "Did you mean 'jetson-nano'"),
        ("run", "--methods mass", 2, "unknown method", "Did you mean 'mas'"),
        ("run", "--methods mas:split=2", 2, "unknown parameter", "Did you mean 'splits'"),
        ("run", "--config {at}/key.toml", 2, "key.toml", "Did you mean 'rounds'"),
        ("run", "--config {at}/none.toml", 2, "none.toml is missing", "none.toml"),
        ("run", "--rounds 100001", 2, "may be at most 100000", "--help"),
        ("run", "--config={at}/key.toml --rounds 0", 2, "key.toml", "Did you mean 'rounds'"),
        ("run", "--config=", 2, "cannot be read", "--help"),
        ("run", "--dry-run --out {at}/key.toml/x", 9, "is a file", "--out DIR"),
        ("run", "--devise auto", 2, "unknown option", "Did you mean '--device'"),
        ("run", "--meter rappl", 2, "unknown meter", "Did you mean 'rapl'"),
        ("run", "--require-device --device raspberry-pi-zero-2", 3, "is not a", "Run on that"),
        (
            "run",
            "--data taskonomy --cache {at}",
            2,
            "has not been imported",
            "harness.data import",
        ),
        ("run", "--resume {at}/none", 7, "is no run", "harness.list runs"),
        ("run", "--require-meter --meter none", 3, "cannot be measured", "Leave out"),
        ("list", "runs --out {at}/none", 2, "there is no folder", "--out DIR"),
        ("list", "metres", 2, "unknown kind", "Did you mean 'meters'"),
        ("check", "{at}/soun", 2, "no such run", "Did you mean"),
        (
            "compare",
            "{sound} {other} --allow-damaged",
            7,
            "meter name",
            "Measure both in the same way",
        ),
        ("compare", "{sound} {cut}", 7, "cells.csv", "Restore"),
        ("compare", "{sound} {newer}", 7, "is newer than", "Update the tool"),
        ("pack", "{cut} --out {at}/b", 7, "is damaged", "harness.check"),
        ("pack", "{sound} --out {at}/full", 2, "is not an empty folder", "does not exist yet"),
        ("infer", "{at}/soun", 2, "no such run", "Did you mean"),
        ("infer", "{sound}", 7, "no trained models", "--weights"),
        ("infer", "{newer}", 7, "is newer than", "Update the tool"),
        ("infer", "{sound} --runtimes tourch", 2, "unknown runtime", "Did you mean 'torch'"),
        ("split", "{at}/none.csv --splits 2 --rule maas", 2, "unknown rule", "Did you mean 'mas'"),
        ("doctor", "--dump-fixture {at}/full", 2, "is not an empty folder", "does not exist yet"),
    ],
)
def test_cause_and_remedy_are_said(command, words, status, cause, remedy, places, capsys) -> None:
    """What happened, and the thing to type or do; never a traceback."""
    out = [] if "--out" in words or command != "run" else ["--out", f"{places['at']}/results"]
    given = [word.format(**places) for word in words.split()]
    assert COMMANDS[command]([*given, *out]) == status
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert cause in err
    assert remedy in err
    assert "Traceback" not in err


def test_all_problems_of_a_start_are_said_at_once(places, capsys) -> None:
    """Values, names, limits, device and meter: each with its own code; nothing is written."""
    out = Path(places["at"]) / "results"
    words = ["--rounds", "x", "--batch-size", "0", "--methods", "mass", "--max-time", "soon",
             "--max-energy", "much", "--device", "jetson-nan", "--meter", "rappl",
             "--out", str(out)]  # fmt: skip
    assert run.main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: 7 problems [several]\n")
    for number, said in enumerate(("--rounds: cannot read 'x'", "--batch-size must be at least 2",
                                   "unknown method 'mass'", "--max-time", "--max-energy",
                                   "unknown device", "unknown meter"), 1):  # fmt: skip
        (line,) = (x for x in err.splitlines() if said in x and "[" in x)
        assert any(line.startswith(f"{n}. ") for n in range(1, 8)), number
        assert line.endswith(("[usage]", "[unknown-name]"))
    assert not out.exists()


def test_a_package_that_is_missing_is_named_with_the_build_of_the_board(
    monkeypatch, capsys
) -> None:
    """Status 3, no traceback; a missing module of our own is a fault and stays one."""
    parser = Parser(prog="x")

    def without(name: str):
        def action(_):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

        return action

    assert run_command(parser, [], without("torch")) == 3
    err = capsys.readouterr().err
    assert "the package torch is not installed [missing-package]" in err
    assert "nstall" in err.splitlines()[1]
    assert run_command(parser, [], without("safetensors.torch")) == 3
    assert "package safetensors" in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError):
        run_command(parser, [], without("harness.nothing"))


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("jetsn", ["jetson-nano", "jetson-tx2"]),
        ("jetson-nan", ["jetson-nano"]),
        ("raspbery-pi-5", ["raspberry-pi-5"]),
        ("zzz", []),
    ],
)
def test_names_about_as_near_are_offered_together(word, near) -> None:
    """A start that many names share names several; one that is clearly nearest stands alone."""
    known = ["auto", "x86", "jetson-nano", "jetson-tx2", "jetson-agx-orin", "raspberry-pi-4",
             "raspberry-pi-5"]  # fmt: skip
    remedy = unknown("device", word, known).remedy
    offered = remedy.split("?")[0] if "Did you mean" in remedy else ""
    for name in known:
        assert (f"'{name}'" in offered) == (name in near), remedy


def test_check_says_the_same_on_its_screen(places, capsys) -> None:
    """Damage is what it was asked to find, so it stands with the findings."""
    for name, said in (("newer", "Update the tool"), ("cut", "Restore")):
        assert check.main([places[name]]) == 7
        assert said in capsys.readouterr().out
