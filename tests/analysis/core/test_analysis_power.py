"""The figure of power shows idle power, the split, heat and throttling of the cell it draws."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.core.figures import power, power_data
from analysis.core.loading import load_run
from harness.core.schema import CONDITIONS, TRACE
from tests.analysis.conftest import MERGE_ROUNDS, ROUNDS, write_csv

CELL = "mas-splits-2-s0-r0"
START_S = 2000.0
"""Third cell of the run; each begins a thousand seconds after the one before."""


def with_idle(folder, before_w, after_w):
    """Add the idle power that was measured before and after the run to its manifest."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["idle"] = {"before_w": before_w, "after_w": after_w}
    path.write_text(json.dumps(manifest))


def with_looks(folder, *looks):
    """Write looks (seconds from the start of the cell, °C, flags, a card's °C) at the board."""
    names = ("t_s", "temperature_c", "flags", "gpu_temperature_c")
    rows = [dict(zip(names, (START_S + t, *rest), strict=False)) for t, *rest in looks]
    write_csv(folder / "conditions" / f"{CELL}.csv", CONDITIONS, rows)


def drawn_axes(folder):
    """Return the axes of the figure and those of the temperature, if there are any."""
    figure = Figure()
    ax = power.draw(figure.add_subplot(), power_data.prepare(load_run(folder), CELL))
    return ax, [other for other in figure.axes if other is not ax]


def labels(ax):
    """Return what the legend names."""
    return ax.get_legend_handles_labels()[1]


def test_idle_power_is_the_mean_of_before_and_after(make_run):
    """1.5 W before and 1.7 W after give a line at 1.6 W; without either there is no line."""
    folder = make_run(seeds=1)
    assert not [text for text in labels(drawn_axes(folder)[0]) if "idle" in text]
    with_idle(folder, 1.5, 1.7)
    assert power_data.prepare(load_run(folder), CELL).idle_w == pytest.approx(1.6)
    assert "idle 1.6 W" in labels(drawn_axes(folder)[0])
    with_idle(folder, 1.5, None)
    assert power_data.prepare(load_run(folder), CELL).idle_w == pytest.approx(1.5)


def test_modelled_power_has_the_idle_power_of_the_profile(make_run):
    """Measured idle power never stands beside modelled power."""
    folder = make_run(seeds=1, measured=False, trace=False)
    with_idle(folder, 9.0, 9.0)
    assert power_data.prepare(load_run(folder), CELL).idle_w == pytest.approx(1.25)


def test_the_legend_has_the_mean_power_of_each_phase(make_run):
    """Every phase of the made-up run takes 5 W, whatever its trace shows."""
    data = power_data.prepare(load_run(make_run(seeds=1)), CELL)
    assert data.means_w == pytest.approx({"train": 5.0, "affinity": 5.0, "evaluate": 5.0})


def test_the_split_is_where_the_second_job_begins(make_run):
    """Three of thirteen rounds of all jobs are merged; each takes as long, evaluation included."""
    data = power_data.prepare(load_run(make_run(seeds=1)), CELL)
    rounds = MERGE_ROUNDS + 2 * (ROUNDS - MERGE_ROUNDS)
    assert data.split_s == pytest.approx(50.0 * 1.05 * MERGE_ROUNDS / rounds)
    unsplit = power_data.prepare(load_run(make_run(seeds=1, run_id="other")), "all-in-one-s0-r0")
    assert unsplit.split_s is None


def test_temperature_has_an_axis_of_its_own(make_run):
    """Degrees and watts never share an axis; times count from the start of the cell."""
    folder = make_run(seeds=1)
    assert drawn_axes(folder)[1] == []
    with_looks(folder, (0.0, 41.0, ""), (20.0, 55.5, ""), (50.0, 61.0, ""))
    ax, (twin,) = drawn_axes(folder)
    assert twin.get_ylabel() == "Temperature (°C)"
    assert twin.lines[0].get_xydata().tolist() == [[0.0, 41.0], [20.0, 55.5], [50.0, 61.0]]
    assert "temperature" in labels(ax)


def test_a_card_s_temperature_stands_beside_the_host_s(make_run):
    """Both on the axis of degrees; a host that shows none leaves the card's alone."""
    folder = make_run(seeds=1)
    with_looks(folder, (0.0, 41.0, "", 60.0), (50.0, 44.0, "gpu-power-cap", 83.0))
    ax, (twin,) = drawn_axes(folder)
    assert [line.get_ydata().tolist() for line in twin.lines] == [[41.0, 44.0], [60.0, 83.0]]
    assert {"temperature", "GPU's temperature", "gpu-power-cap"} <= set(labels(ax))
    (outcome,) = power.drawings(load_run(folder))
    assert "Right axis: temperature of the host and the GPU" in outcome.caption
    assert outcome.drawn["gpu_temperature_c"].dropna().tolist() == [60.0, 83.0]
    with_looks(folder, (0.0, None, "", 60.0), (50.0, None, "", 83.0))
    _, (twin,) = drawn_axes(folder)
    assert len(twin.lines) == 1
    assert "Right axis: temperature of the GPU" in power.drawings(load_run(folder))[0].caption


def test_throttling_is_marked_when_it_is_first_seen(make_run):
    """Flags stay set to the end of a cell; the mark stands where each was new."""
    folder = make_run(seeds=1)
    with_looks(folder, (0.0, None, ""), (20.0, None, "throttled"),
               (30.0, None, "throttled+under-voltage"))  # fmt: skip
    ax, others = drawn_axes(folder)
    marks = {line.get_label(): line.get_xdata() for line in ax.lines}
    assert others == []
    assert list(marks["throttled"]) == [20.0]
    assert list(marks["under-voltage"]) == [30.0]
    (outcome,) = power.drawings(load_run(folder))
    assert "Marks at the top" in outcome.caption
    looks = outcome.drawn[outcome.drawn["element"] == "condition"]
    assert looks["name"].tolist() == ["", "throttled", "under-voltage"]


def test_the_median_stands_over_the_samples_it_is_of(make_run):
    """Samples stay, faintly; one spike of a hundred watts does not move the median of five."""
    folder = make_run(seeds=1)
    samples = [{"t_s": START_S + t, "rail": "psys", "power_w": 5.0} for t in range(60)]
    samples[30]["power_w"] = 100.0
    write_csv(folder / "traces" / f"{CELL}.csv.gz", TRACE, samples)
    ax, _ = drawn_axes(folder)
    shown, median = (np.asarray(line.get_ydata(), dtype=float) for line in ax.lines[:2])
    assert shown.max() == 100.0
    assert median.max() == 5.0
    assert len(shown) == len(median) == 60
