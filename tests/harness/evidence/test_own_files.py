"""Tables of a workload's own are checked and packed like those of every run."""

import csv

import pytest

from harness.cli.pack import main as pack
from harness.core.schema import Column
from harness.evidence.judging import judge
from harness.evidence.own_files import own_rows
from harness.evidence.reading import read_run
from tests.harness.workloads import toy
from tests.harness.workloads.test_toy import finished, installed  # noqa: F401 - fixtures

COLUMNS = (Column("client", "int", "", "Client."), Column("gain", "float", "", "Its gain."))
NAME = "vectors/<cell>.csv"


@pytest.fixture
def run_of(finished, monkeypatch):  # noqa: F811
    """Return a finished run whose workload has a table per cell."""
    monkeypatch.setattr(toy.Toy, "files", {NAME: COLUMNS})
    for row in read_run(finished).cells:
        path = finished / NAME.replace("<cell>", str(row["cell"]))
        path.write_text("client,gain\n0,0.5\n1,\n")
    return finished


def codes(folder):
    return {f.code for f in judge(folder).findings if f.level == "damaged"}


def test_a_sound_table_is_read_and_packed(run_of) -> None:
    assert codes(run_of) == set()
    rows = own_rows(read_run(run_of), NAME, "bold-s0-r0")
    assert rows == [{"client": 0, "gain": 0.5}, {"client": 1, "gain": None}]
    out = run_of.parent / "bundle"
    assert pack([str(run_of), "--out", str(out)]) == 0
    (copy,) = out.rglob("bold-s0-r0.csv")
    with copy.open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "file-missing"), ("client,gain\n0,much\n", "file-damaged"),
     ("client,gain\n0,0.", "file-damaged"), ("client\n0\n", "file-damaged")],
)  # fmt: skip
def test_a_missing_or_damaged_table_is_found(run_of, content, code) -> None:
    path = run_of / "vectors" / "plain-s1-r0.csv"
    path.unlink() if content is None else path.write_text(content)
    assert code in codes(run_of)
