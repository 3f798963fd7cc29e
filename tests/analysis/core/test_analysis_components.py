"""Joules per component are those of components.csv, and witnesses are in no sum."""

from types import SimpleNamespace

import pandas as pd
import pytest

from analysis.core.component_data import agreements, component_means
from analysis.core.figures.components import REST, prepare
from analysis.core.tables.components import component_table, witness_table

COLUMNS = [
    "cell", "job", "phase", "component", "meter", "rail", "role", "energy_j", "energy_error_j",
]  # fmt: skip


def row(cell, component, meter, rail, role, energy_j, phase=""):
    return (cell, "", phase, component, meter, rail, role, energy_j, 0.1)


def run(rows, methods=("a", "b")):
    """Return what the tables read of a run: cell c0 is of the first method, c1 of the second."""
    cells = pd.DataFrame(
        {"cell": [f"c{n}" for n in range(len(methods))], "method": methods, "time_s": 2.0}
    )
    return SimpleNamespace(components=pd.DataFrame(rows, columns=COLUMNS), done=cells)


RAILS = [
    row("c0", "module", "ina3221", "VDD_IN", "total", 20.0),
    row("c0", "processor", "ina3221", "VDD_CPU", "part", 8.0),
    row("c0", "gpu", "ina3221", "VDD_GPU", "part", 7.0),
    row("c0", "wall", "plug", "shelly", "witness", 25.0),
    row("c0", "module", "ina3221", "VDD_IN", "total", 10.0, "train"),
    row("c0", "wall", "plug", "shelly", "witness", 14.0, "train"),
]


def test_a_total_is_drawn_as_its_parts_and_what_they_leave():
    drawn = prepare(run(RAILS))
    pieces = drawn[drawn["kind"] == "piece"].set_index("piece")["energy_j"]
    assert pieces.to_dict() == {"processor": 8.0, "gpu": 7.0, REST: 5.0}
    assert pieces.sum() == 20.0
    assert drawn[drawn["kind"] == "witness"]["energy_j"].tolist() == [25.0]


def test_parts_of_more_than_their_total_are_not_drawn_instead_of_it():
    rows = [RAILS[0], row("c0", "gpu", "ina3221", "VDD_GPU", "part", 30.0)]
    assert prepare(run(rows))["energy_j"].tolist() == [20.0]


def test_witnesses_over_the_sum_in_every_window():
    found = agreements(run(RAILS))
    assert found["ratio"].tolist() == pytest.approx([1.25, 1.4])
    assert found["rest_j"].tolist() == pytest.approx([5.0, 4.0])


def test_a_window_whose_sum_lacks_a_meter_tells_nothing():
    rows = [
        row("c0", "processor", "rapl", "package-0", "total", 5.0),
        row("c0", "gpu", "nvml", "0", "total", float("nan")),
        row("c0", "wall", "plug", "shelly", "witness", 25.0),
    ]
    assert agreements(run(rows)).empty


def test_means_are_over_the_cells_of_a_method_and_one_without_a_figure_leaves_none():
    rows = [
        row("c0", "processor", "rapl", "package-0", "total", 4.0),
        row("c1", "processor", "rapl", "package-0", "total", 6.0),
        row("c0", "memory", "rapl", "dram-0", "total", 1.0),
        row("c1", "memory", "rapl", "dram-0", "total", float("nan")),
    ]
    means = component_means(run(rows, ("a", "a"))).set_index("component")
    assert means.loc["processor", "energy_j"] == 5.0
    assert means["energy_j"].isna().tolist() == [False, True]


def test_a_run_of_one_rail_has_no_table_and_no_figure():
    lone = run(RAILS[:1])
    assert component_table([lone]) is witness_table([lone]) is None
    assert prepare(lone).empty
    assert component_table([SimpleNamespace(components=None)]) is None
