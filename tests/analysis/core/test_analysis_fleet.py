"""Devices of a fleet: what the table adds up and what the timeline draws, by hand."""

from __future__ import annotations

import csv
import json

import pytest
from matplotlib.figure import Figure

from analysis.core.basis import cost_basis
from analysis.core.curves import cell_curves
from analysis.core.figures import breakdown, fleet
from analysis.core.figures.drawing import NotDrawn
from analysis.core.loading import load_run
from analysis.core.pooling import pool
from analysis.core.tables.fleet import device_sums, fleet_table
from analysis.core.tables.phases import phase_tables
from analysis.report import write_report
from harness.core.schema import DEVICES, PHASE_ROWS
from tests.analysis.conftest import write_csv

CELL = "mas-splits-2-s0-r0"


def stretch(device, phase, start_s, end_s, energy_j, **more):
    return {
        "run_id": "r", "cell": CELL, "job": "sdnkt", "round": 0, "device": device, "client": 0,
        "phase": phase, "start_s": start_s, "end_s": end_s, "time_s": end_s - start_s,
        "energy_j": energy_j, **more,
    }  # fmt: skip


ROWS = [
    {**stretch("a", "start-up", 0.0, 5.0, 9.0), "cell": ""},
    stretch("a", "communicate", 10.0, 12.0, 4.0),
    stretch("a", "train", 12.0, 15.0, 30.0, fate="used"),
    stretch("a", "affinity", 15.0, 16.0, 10.0, fate="used"),
    stretch("a", "idle", 16.0, 20.0, 8.0),
    stretch("b", "idle", 10.0, 11.0, 1.0),
    stretch("b", "train", 11.0, 19.0, None, fate="late"),
    stretch("b", "train", 19.0, 22.0, 99.0, fate="lost"),
]


@pytest.fixture
def run(make_run):
    folder = make_run(seeds=1)
    before = load_run(folder)
    cells = before.cells["cell"].tolist()
    own = next(cell for cell in cells if cell.startswith("mas"))
    write_csv(folder / "devices.csv", DEVICES,
              [{**row, "run_id": before.run_id, "cell": row["cell"] and own}
               for row in ROWS])  # fmt: skip
    return load_run(folder)


def test_seconds_and_joules_of_each_device_are_added_up(run) -> None:
    """Look-aheads count as training; what was lost and what belongs to no cell does not."""
    sums = device_sums(run).set_index("device")
    assert sums.loc["a", ["train_s", "communicate_s", "idle_s"]].tolist() == [4.0, 2.0, 4.0]
    assert sums.loc["a", ["train_j", "communicate_j", "idle_j"]].tolist() == [40.0, 4.0, 8.0]
    assert sums.loc["b", ["train_s", "communicate_s", "idle_s"]].tolist() == [8.0, 0.0, 1.0]
    assert sums["makespan_s"].tolist() == [10.0, 10.0]


def test_joules_that_were_not_measured_stay_empty(run) -> None:
    """Device b has no joules of its training, so it and the total have none either."""
    table = fleet_table([run])
    rows = {str(row[1]): row for row in table.rows}
    at = [heading.key for heading in table.headings].index("train_j")
    assert rows["a"][at].mean == 40.0
    assert not hasattr(rows["b"][at], "mean")
    assert not hasattr(rows["all devices"][at], "mean")
    seconds = [heading.key for heading in table.headings].index("train_s")
    assert rows["all devices"][seconds].mean == 12.0


def test_the_timeline_begins_at_the_cells_start(run) -> None:
    drawn = fleet.prepare(run)
    assert drawn["start_s"].min() == 0.0
    first = drawn[(drawn["device"] == "a") & (drawn["phase"] == "train")].iloc[0]
    assert (first["start_s"], first["end_s"]) == (2.0, 5.0)
    ax = fleet.draw(Figure().add_subplot(), drawn)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]


@pytest.mark.whole
def test_the_report_shows_devices_only_where_there_are_some(run, make_run) -> None:
    assert (write_report([run.folder]).folder / "figures" / "fleet_timeline.pdf").is_file()
    alone = load_run(make_run(run_id="20261124-000000-alone"))
    assert alone.devices is None
    assert fleet.drawings(alone) == []
    assert fleet_table([alone]) is None
    assert not [o for o in fleet.drawings(run) if isinstance(o, NotDrawn)]


def repeated(make_run, trained):
    """Return a run of one device that trained for the seconds given by seed and repeat, at 10 W."""
    folder = make_run(seeds=2, repeats=3, methods=("all-in-one",))
    before = load_run(folder)
    rows = [
        {**stretch("a", "train", 0.0, seconds, 10.0 * seconds, fate="used"),
         "run_id": before.run_id, "cell": f"all-in-one-s{seed}-r{repeat}"}
        for (seed, repeat), seconds in trained.items()
    ]  # fmt: skip
    write_csv(folder / "devices.csv", DEVICES, rows)
    return load_run(folder)


def test_repeats_of_a_device_are_averaged_within_their_seed(make_run) -> None:
    """Three repeats of one seed are one seed, which has no spread; 11 and 20 s have the mean 15.5.

    The half-width of two seeds is 12.7062 times half their difference.
    """
    one = {(0, 0): 10.0, (0, 1): 11.0, (0, 2): 12.0}
    table = fleet_table([repeated(make_run, one)])
    for row in table.rows:
        for content in (row[2], row[5], row[-1]):
            assert (content.half_width, content.n) == (None, 1)
        assert [row[2].mean, row[5].mean, row[-1].mean] == pytest.approx([11.0, 110.0, 11.0])


def test_a_seed_counts_once_however_often_it_was_measured(make_run) -> None:
    """Seeds of 11 s, measured three times, and of 20 s, once: the mean is 15.5 s over n = 2."""
    both = {(0, 0): 10.0, (0, 1): 11.0, (0, 2): 12.0, (1, 0): 20.0}
    for row in fleet_table([repeated(make_run, both)]).rows:
        assert (row[2].mean, row[2].n) == (pytest.approx(15.5), 2)
        assert row[2].half_width == pytest.approx(12.7062 * 4.5, rel=1e-4)


def server_unmetered(folder):
    """Take the joules from what a run's server did, as those of a fleet have none."""
    with (folder / "phases.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows = [{**row, "energy_j": "" if row["phase"] == "aggregate" else row["energy_j"]}
            for row in rows]  # fmt: skip
    write_csv(folder / "phases.csv", PHASE_ROWS, rows)
    manifest = json.loads((folder / "manifest.json").read_text())
    fleet_facts = {"fleet": {"devices": [{"name": "a"}]}}
    (folder / "manifest.json").write_text(json.dumps(manifest | fleet_facts))
    return folder


def test_the_energy_of_a_fleet_is_drawn_though_its_server_has_none(make_run) -> None:
    """All-in-one takes 45 s at 5 W, of which 80 % are training: 180 J, and no more is charged."""
    folder = server_unmetered(make_run(seeds=1))
    write_csv(folder / "devices.csv", DEVICES, [])
    (drawn,) = breakdown.drawings(load_run(folder))
    assert drawn.caption.startswith("Time and energy by phase")
    energy = drawn.drawn[drawn.drawn["unit"] == "J"].set_index(["method", "phase"])["value"]
    assert energy["all-in-one", "train"] == pytest.approx(180.0)
    assert energy["all-in-one", breakdown.TOTAL] == pytest.approx(180.0)


def test_what_a_fleet_had_spent_is_known_though_its_server_has_no_joules(make_run) -> None:
    run = load_run(server_unmetered(make_run(seeds=1)))
    curves = cell_curves(run, cost_basis(run))
    last = curves[curves["method"] == "all-in-one"].iloc[-1]
    assert last["cost"] == pytest.approx(180.0)


def test_pooled_runs_of_a_fleet_keep_their_energy(make_run) -> None:
    folders = [server_unmetered(make_run(run_id=f"r{n}", first_seed=n, seeds=1)) for n in (0, 1)]
    (together,) = pool([load_run(folder) for folder in folders])
    names = [table.name for table in phase_tables([together])]
    assert "phase_energy" in names
    (table,) = (table for table in phase_tables([together]) if table.name == "phase_energy")
    index = [heading.key for heading in table.headings].index("train_j")
    means = {row[0]: row[index] for row in table.rows}
    assert means["all-in-one"].n == 2
    assert means["all-in-one"].mean == pytest.approx(4 * 0.45 * 102.0)
