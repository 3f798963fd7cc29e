"""Known power gives known joules; a gap spoils a cell and check says so (no. 4)."""

import csv
import io
import shutil
from pathlib import Path

import pytest

from devices.energy import energy
from devices.meters.base import MeterInfo, Rail, RawSample
from devices.stream import StreamSet
from harness.cli.check import main as check

GOLDEN = Path(__file__).parents[1] / "fixtures" / "runs" / "schema1"


def five_watts(left_out: range) -> StreamSet:
    """Return 5 W read ten times a second for 12 s, but for some of the readings."""
    streams = StreamSet(MeterInfo("test", "sampled", "board", (Rail("rail"),)), 0.1)
    for step in range(121):
        value = None if step in left_out else 5.0
        streams.append(RawSample(0, 0.1 * step, 0.1 * step, value))
    return streams


def test_five_watts_for_ten_seconds_are_fifty_joules() -> None:
    assert energy(five_watts(range(0)), 1.0, 11.0).energy_j == pytest.approx(50.0, rel=1e-3)


def test_a_gap_has_no_joules_and_a_reason() -> None:
    reading = energy(five_watts(range(40, 80)), 1.0, 11.0)
    assert (reading.energy_j, "gap" in reading.flags) == (None, True)
    assert reading.reason


def test_check_ends_with_4_for_a_cell_without_valid_joules(tmp_path, capsys) -> None:
    """The golden run with the joules of one cell taken out, as a gap would leave it."""
    folder = tmp_path / "run"
    shutil.copytree(GOLDEN, folder)
    path = folder / "cells.csv"
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    rows[0] |= {"energy_j": "", "energy_net_j": "", "energy_error_j": "",
                "energy_reason": "no sample for 4.1 s"}  # fmt: skip
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())
    assert check([str(folder)]) == 4
    out = " ".join(capsys.readouterr().out.split())
    assert "no valid measured energy in independent-s0-r0: no sample for 4.1 s" in out
