"""What a method had spent by each round follows from its jobs, in closed form."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.core.basis import cost_basis
from analysis.core.curves import cell_curves, cost_to_target, seed_curves
from analysis.core.figures import loss_over_cost
from analysis.core.loading import load_run


def curve(run, method, seed=0):
    """Return round → cost of one method and seed."""
    curves = cell_curves(run, cost_basis(run))
    own = curves[(curves["method"] == method) & (curves["seed"] == seed)]
    return own.set_index("round")["cost"]


def test_independent_jobs_count_round_by_round_in_any_order(make_run):
    """Five jobs of eight equal rounds: by round r an eighth of 500 J times r, jobs in turn."""
    costs = curve(load_run(make_run(seeds=1)), "independent")
    assert costs.tolist() == pytest.approx([500.0 * r / 8 for r in range(1, 9)])


def test_a_split_method_pays_its_merged_rounds_once(make_run):
    """Three merged rounds, then five of each group: (3 + 2 (r - 3)) thirteenths of 250 J."""
    costs = curve(load_run(make_run(seeds=1)), "mas:splits=2")
    expected = [r if r <= 3 else 3 + 2 * (r - 3) for r in range(1, 9)]
    assert costs.tolist() == pytest.approx([250.0 * x / 13 for x in expected])


def test_the_last_round_costs_what_the_cell_cost(make_run):
    """Nothing a method is charged for is lost or counted twice."""
    run = load_run(make_run())
    curves = cell_curves(run, cost_basis(run))
    last = curves.drop_duplicates("cell", keep="last").set_index("cell")["cost"]
    cells = run.cells.set_index("cell")["energy_j"]
    assert last.to_dict() == pytest.approx(cells.to_dict())


def test_jobs_that_serve_nothing_are_paid_before_the_first_round(make_run):
    """A candidate model whose losses are not used had to be trained before the groups began."""
    run = load_run(make_run(seeds=1, methods=("all-in-one",)))
    extra = run.phases.iloc[[0, 1]].assign(job="sd", energy_j=7.0)
    outside = run.phases.iloc[[0]].assign(round=pd.array([pd.NA], dtype="Int64"), energy_j=1.0)
    phases = pd.concat([run.phases, extra, outside], ignore_index=True)
    before = curve(run, "all-in-one")
    after = curve(replace(run, phases=phases), "all-in-one")
    assert (after - before).tolist() == pytest.approx([15.0] * 8)


def test_a_cell_with_a_gap_in_its_cost_has_no_curve(make_run):
    """A curve that lacks the joules of one phase would look cheaper than it is."""
    run = load_run(make_run(seeds=1))
    phases = run.phases.copy()
    phases.loc[(phases["cell"] == "all-in-one-s0-r0").idxmax(), "energy_j"] = float("nan")
    curves = cell_curves(replace(run, phases=phases), cost_basis(run))
    assert set(curves["method"]) == {"independent", "mas:splits=2"}


def test_repeats_of_a_seed_are_one_curve(make_run):
    """Repeats take a second more each, so two of them cost 0.5 s × 5 W more on average."""
    run = load_run(make_run(seeds=1, repeats=2))
    seeds = seed_curves(cell_curves(run, cost_basis(run)))
    own = seeds[seeds["method"] == "independent"]
    assert len(own) == 8
    assert own["cost"].iloc[-1] == pytest.approx(502.5)


def test_target_is_the_first_round_at_or_below_it():
    """Costs 1, 2, 3 with losses 5, 3, 2 against a target of 3: reached at 2; never above it."""
    rows = [("independent", 0, 1, 9.0, 4.0), ("independent", 0, 2, 18.0, 3.0)]
    rows += [("a", 0, n, float(n), loss) for n, loss in ((1, 5.0), (2, 3.0), (3, 2.0))]
    rows += [("b", 0, 1, 1.0, 3.5), ("c", 1, 1, 1.0, 0.0)]
    columns = ["method", "seed", "round", "cost", "total_test_loss"]
    found = cost_to_target(pd.DataFrame(rows, columns=columns), "independent")
    found = found.set_index("method")["cost"]
    assert found["a"] == 2.0
    assert found["independent"] == 18.0
    assert pd.isna(found["b"])
    assert "c" not in found  # its seed has no independent cell


def test_the_figure_draws_the_means_and_marks_the_split(make_run):
    """Lines go through mean cost and mean loss; the open circle is after round three."""
    run = load_run(make_run())
    seeds = seed_curves(cell_curves(run, cost_basis(run)))
    drawn = loss_over_cost.prepare(seeds, run.methods)
    mas = drawn[drawn["method"] == "mas:splits=2"].set_index("round")
    assert mas.loc[3, "cost"] == pytest.approx(260.0 * 3 / 13)
    assert mas.loc[3, "half_width"] == pytest.approx(4.302653 * 0.01 / 3**0.5, rel=1e-5)
    ax = loss_over_cost.draw(Figure().add_subplot(), drawn, {"mas:splits=2": 3}, "Energy", "J")
    circle = next(line for line in ax.lines if line.get_markerfacecolor() == "none")
    assert circle.get_xydata()[0] == pytest.approx(
        [mas.loc[3, "cost"], mas.loc[3, "total_test_loss"]]
    )
    assert len(ax.collections) == 3  # one band per method
