"""Figures draw exactly the numbers of their CSV, and those follow from the run's closed forms."""

from __future__ import annotations

import gzip
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.core.basis import cost_basis
from analysis.core.figures import breakdown, loss_curves, pareto, power, power_data
from analysis.core.figures.drawing import NotDrawn
from analysis.core.loading import load_run
from analysis.core.method_styles import METHOD_COLOURS, method_style
from analysis.core.style import even_columns, scaled_unit, spans_decade, wrap_note
from analysis.core.venues import VENUE_WIDTHS_IN, venue_width_in
from analysis.multitask.figures import affinity
from harness.core.errors import HarnessError


def axes():
    """Return empty axes of a figure that no global state knows."""
    return Figure().add_subplot()


def test_basis_prefers_measured_then_modelled_then_time(make_run):
    """The axis says which of the three it is, and never mixes them."""
    measured = cost_basis(load_run(make_run(run_id="a", seeds=1)))
    busier = {"all-in-one-s0-r0": {"energy_model_j": 500.0}}
    modelled = cost_basis(
        load_run(make_run(run_id="b", seeds=1, measured=False, cell_changes=busier))
    )
    timed = cost_basis(load_run(make_run(run_id="c", seeds=1, measured=False, modelled=False)))
    assert (measured.column, measured.quantity) == (
        "energy_j",
        "Measured energy (board, sampled)",
    )
    assert (modelled.column, modelled.quantity) == ("energy_model_j", "Modelled energy")
    assert any("modelled" in note for note in modelled.notes)
    assert (timed.column, timed.unit) == ("time_s", "s")


@pytest.mark.parametrize(("matches", "column"), [(True, "time_s"), (False, "time_model_s")])
def test_modelled_energy_of_one_power_is_no_basis_beside_time(make_run, matches, column):
    """All cells are modelled at one power, 4 W or 4/9 W: joules would draw time again."""
    run = load_run(make_run(seeds=2, measured=False, matches=matches))
    basis = cost_basis(run)
    assert (basis.kind, basis.column) == ("time", column)
    assert f"modelled energy is time × {4 if matches else '0.444'} W" in basis.notes
    assert cost_basis(run, restated=True).column == "energy_model_j"
    assert [outcome.reason[:17] for outcome in power.drawings(run)] == ["modelled power is"]
    (drawn,) = breakdown.drawings(run)
    assert set(drawn.drawn["unit"]) == {"s"}
    assert "says nothing beyond time" in drawn.caption


def test_basis_leaves_other_meters_out_aloud(make_run):
    """Only the cells of the commonest meter are drawn; the note names what is not."""
    changes = {"energy_meter": "plug", "energy_scope": "wall"}
    basis = cost_basis(load_run(make_run(seeds=1, cell_changes={"all-in-one-s0-r0": changes})))
    assert set(basis.cells["method"]) == {"independent", "mas:splits=2"}
    assert "cells measured by plug are not shown" in basis.notes
    assert "not shown: all-in-one" in basis.notes


def test_pareto_front_by_hand():
    """Of four points the dominated ones go; equal points stay."""
    points = {"a": (1.0, 5.0), "b": (2.0, 3.0), "c": (3.0, 4.0), "d": (2.0, 3.0), "e": (4.0, 3.0)}
    assert pareto.pareto_front(points) == ["a", "b", "d"]


def test_pareto_numbers(make_run):
    """Means over seeds: 5 W × 104 s, loss 0.61 + 1.5 / 16; three seeds each."""
    drawn = pareto.prepare(cost_basis(load_run(make_run())))
    means = drawn[drawn["element"] == "mean"].set_index("method")
    assert means.loc["independent", "cost"] == pytest.approx(520.0)
    assert means.loc["independent", "loss"] == pytest.approx(0.61 + 1.5 / 16)
    assert means["on_front"].tolist() == [False, True, True]
    assert (drawn["element"] == "seed").sum() == 9


def test_pareto_draws_what_it_was_given(make_run):
    """The marks on the axes are the means of the table."""
    drawn = pareto.prepare(cost_basis(load_run(make_run())))
    ax = pareto.draw(axes(), drawn, "Measured energy", "J")
    marks = {
        line.get_label(): line.get_xydata()[0] for line in ax.lines if line.get_label()[0] != "_"
    }
    for _, mean in drawn[drawn["element"] == "mean"].iterrows():
        assert marks[mean["method"]] == pytest.approx([mean["cost"], mean["loss"]])
    assert ax.get_xlabel() == "Measured energy (J)"


def test_one_seed_has_no_error_bars(make_run):
    """No half-width, no bar, and no faint double of the mark."""
    drawn = pareto.prepare(cost_basis(load_run(make_run(seeds=1))))
    assert drawn["cost_half_width"].isna().all()
    assert not pareto.draw(axes(), drawn, "x", "J").collections


def test_loss_curve_numbers(make_run):
    """Totals are sums over tasks, means are over seeds, and the split is where it was."""
    run = load_run(make_run())
    drawn = loss_curves.prepare(run)
    means = drawn[drawn["element"] == "mean"]
    mas = means[means["method"] == "mas:splits=2"].set_index("round")["total_test_loss"]
    assert mas.index.tolist() == list(range(1, 9))
    assert mas[2] == pytest.approx(0.57 + 0.01 + 0.75)
    ax = loss_curves.draw(axes(), drawn, {"mas:splits=2": 3})
    assert any(list(line.get_xdata()) == [3, 3] for line in ax.lines)


def test_a_round_without_every_task_is_not_drawn(make_run):
    """A total over fewer tasks would look better than it is; a NaN spoils its round, too."""
    folder = make_run(seeds=1)
    path = folder / "metrics.csv"
    lines = path.read_text().splitlines()
    gone = [line for line in lines if ",all-in-one-s0-r0,4,sdnkt,k," not in line]
    assert len(gone) == len(lines) - 1
    bad = [
        line.rsplit(",", 2)[0] + ",nan," if ",all-in-one-s0-r0,6,sdnkt,t," in line else line
        for line in gone
    ]
    path.write_text("\n".join(bad) + "\n")
    drawn = loss_curves.prepare(load_run(folder))
    own = drawn[(drawn["method"] == "all-in-one") & (drawn["element"] == "mean")]
    assert own["round"].tolist() == [1, 2, 3, 5, 7, 8]


def test_affinity_keeps_rows_asymmetry_and_groups():
    """Tasks are ordered by group, entries keep their place, boxes frame the groups."""
    tasks = list("abcd")
    matrix = pd.DataFrame(np.arange(16.0).reshape(4, 4) / 100, index=tasks, columns=tasks)
    ordered = affinity.prepare(matrix, ["ac", "bd"])
    assert list(ordered.index) == list(ordered.columns) == ["a", "c", "b", "d"]
    assert ordered.loc["c", "b"] == 0.09
    assert ordered.loc["b", "c"] == 0.06
    ax = affinity.draw(axes(), ordered, ["ac", "bd"])
    boxes = [(patch.get_x(), patch.get_width()) for patch in ax.patches]
    assert boxes == [(pytest.approx(-0.46), pytest.approx(1.92)),
                     (pytest.approx(1.54), pytest.approx(1.92))]  # fmt: skip
    image = ax.images[0]
    assert image.norm.vmin == -image.norm.vmax == -0.14
    assert sum(text.get_text() != "" for text in ax.texts) == 16


def test_affinity_prints_a_missing_value_as_a_dash():
    """NaN is a dash on grey, and a matrix of nothing still draws."""
    matrix = pd.DataFrame([[np.nan, np.nan], [0.2, np.nan]], index=list("ab"), columns=list("ab"))
    texts = [text.get_text() for text in affinity.draw(axes(), matrix, []).texts]
    assert texts == ["–", "–", "0.20", "–"]
    affinity.draw(axes(), matrix * np.nan, [])


def test_breakdown_numbers(make_run):
    """Training is 80 % of the mean time, evaluation 5 %; energy is five times it."""
    run = load_run(make_run())
    drawn = breakdown.prepare(run, "time_s", "Time", "s").set_index(["method", "phase"])["value"]
    assert drawn["independent", "train"] == pytest.approx(0.8 * 104)
    assert drawn["mas:splits=2", "affinity"] == pytest.approx(0.2 * 52)
    assert drawn["independent", "evaluate"] == pytest.approx(0.05 * 104)
    basis = cost_basis(run)
    joules = breakdown.prepare(run, basis.column, basis.quantity, "J", basis)
    assert joules.set_index(["method", "phase"]).loc[("independent", "train"), "value"] == (
        pytest.approx(0.8 * 520)
    )


def test_breakdown_bars_end_at_the_total(make_run):
    """Stacked bars start at 0 and reach the sum of their phases."""
    drawn = breakdown.prepare(load_run(make_run(seeds=1)), "time_s", "Time", "s")
    ax = breakdown.draw(axes(), drawn)
    assert max(patch.get_x() + patch.get_width() for patch in ax.patches) == pytest.approx(105.0)
    assert min(patch.get_x() for patch in ax.patches) == 0.0


def test_breakdown_leaves_out_a_cell_with_a_gap(make_run):
    """A cell that lacks the energy of one charged phase would look cheaper than it is."""
    folder = make_run(seeds=1)
    lines = (folder / "phases.csv").read_text().splitlines()
    header = lines[0].split(",")
    place = next(n for n, line in enumerate(lines) if "all-in-one-s0-r0" in line)
    fields = lines[place].split(",")
    fields[header.index("energy_j")] = ""
    lines[place] = ",".join(fields)
    (folder / "phases.csv").write_text("\n".join(lines) + "\n")
    run = load_run(folder)
    basis = cost_basis(run)
    drawn = breakdown.prepare(run, basis.column, basis.quantity, "J", basis)
    assert set(drawn["method"]) == {"independent", "mas:splits=2"}


def test_power_from_a_trace(make_run):
    """The first cell that splits is shown, from its own start, one line per rail."""
    run = load_run(make_run())
    chosen = power.chosen_cell(run)
    data = power_data.prepare(run, chosen)
    assert chosen == "mas-splits-2-s0-r0"
    assert not data.modelled
    assert data.lines["t_s"].min() == 0.0
    rail = data.lines[data.lines["rail"] == "POM_5V_IN"]["power_w"]
    assert rail.head(3).tolist() == [5.0, 6.0, 7.0]
    assert data.spans["start_s"].iloc[0] == pytest.approx(0.0)


def test_modelled_power_is_steps_and_says_so(make_run):
    """Without a trace: 4 W mean per phase, the area is the energy, and the axis says modelled."""
    run = load_run(make_run(seeds=1, measured=False, trace=False))
    data = power_data.prepare(run, "mas-splits-2-s0-r0")
    assert data.modelled
    assert data.lines["power_w"].tolist() == pytest.approx([4.0] * len(data.lines))
    area = np.trapezoid(data.lines["power_w"], data.lines["t_s"])
    assert area == pytest.approx(4.0 * 50.0 * 1.05)
    assert power.draw(axes(), data).get_ylabel() == "Modelled power (W)"


def test_modelled_power_of_a_foreign_device_has_its_own_clock(make_run):
    """On the device's clock the work lasts nine times as long at a ninth of the power."""
    run = load_run(make_run(seeds=1, measured=False, trace=False, matches=False))
    data = power_data.prepare(run, "mas-splits-2-s0-r0")
    assert data.on_device
    assert data.lines["t_s"].max() == pytest.approx(9 * 50.0 * 1.05)
    assert power.draw(axes(), data).get_xlabel() == "Modelled time on the device (s)"


def replace_trace(folder, cell, *lines):
    """Write a trace of the given lines under the right header."""
    with gzip.open(folder / "traces" / f"{cell}.csv.gz", "wt", encoding="utf-8") as handle:
        handle.write("\n".join(["t_s,rail,power_w,energy_j", *lines]) + "\n")


def test_a_trace_without_power_is_no_trace(make_run):
    """Samples that all lack power fall back to modelled steps, which are labelled so."""
    folder = make_run(seeds=1)
    replace_trace(folder, "mas-splits-2-s0-r0", "2000.0,psys,,", "2001.0,psys,nan,")
    assert power_data.prepare(load_run(folder), "mas-splits-2-s0-r0").modelled


def test_a_trace_without_phases_still_draws(make_run):
    """A cell whose phases are missing shows its power, unshaded."""
    folder = make_run(seeds=1)
    cell = "mas-splits-2-s0-r0"
    replace_trace(folder, cell, "5.0,psys,,0.0", "6.0,psys,3.0,3.0", "7.0,psys,4.0,7.0")
    path = folder / "phases.csv"
    path.write_text("\n".join(t for t in path.read_text().splitlines() if cell not in t) + "\n")
    data = power_data.prepare(load_run(folder), cell)
    assert data.lines["power_w"].tolist() == [3.0, 4.0]
    assert power.draw(axes(), data).get_ylim() == pytest.approx((0.0, 4.48))


def test_no_power_no_figure(make_run):
    """Neither trace nor model: there is nothing to draw."""
    run = load_run(make_run(seeds=1, measured=False, modelled=False, trace=False))
    (outcome,) = power.drawings(run)
    assert outcome == NotDrawn("Power over time", "no cell has a power trace or modelled power")


def test_known_methods_look_different_from_each_other():
    """No two of the known methods, nor two splits of MAS, share colour and marker."""
    names = [*METHOD_COLOURS, "mas:splits=2", "mas:splits=3", "mas:splits=4", "tag:splits=2"]
    looks = {(method_style(name).colour, method_style(name).marker) for name in names}
    assert len(looks) == len(names)


def test_an_unknown_method_looks_alike_in_every_process():
    """The look comes from the name, not from Python's salted hash."""
    code = "import analysis.core.method_styles as m; print(m.method_style('brand-new:alpha=0.3'))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert texts == {f"{method_style('brand-new:alpha=0.3')}\n"}


def test_venues():
    """An IEEE column is 3.5 inches; an unknown venue lists the known ones."""
    assert venue_width_in("ieee") == 3.5
    with pytest.raises(HarnessError, match="unknown venue 'nature'") as caught:
        venue_width_in("nature")
    assert caught.value.exit_status == 2
    assert all(name in caught.value.remedy for name in VENUE_WIDTHS_IN)


def test_small_helpers():
    """Legends fill rows evenly, units get prefixes, decades count only positive values."""
    assert [even_columns(4, 3), even_columns(7, 3), even_columns(3, 0)] == [2, 3, 1]
    assert scaled_unit(9_999.0, "J") == (1.0, "J")
    assert scaled_unit(10_000.0, "J") == (1e-3, "kJ")
    assert scaled_unit(2e7, "J") == (1e-6, "MJ")
    assert spans_decade([1.0, 11.0])
    assert not spans_decade([0.0, 11.0])
    assert not spans_decade([])
    assert max(len(line) for line in wrap_note("word " * 60, 3.5)) <= 54
