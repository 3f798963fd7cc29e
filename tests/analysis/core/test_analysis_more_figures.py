"""Bars, schedules, repeats, devices and published points draw what the numbers say."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib import style
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from analysis.core.basis import cost_basis
from analysis.core.figures import devices, pareto, power_data, stability
from analysis.core.figures.drawing import NotDrawn
from analysis.core.loading import load_run
from analysis.core.method_styles import method_style
from analysis.core.pooling import series_names
from analysis.core.style import figure_style, new_figure
from analysis.multitask.figures import affinity_rounds, published, schedule, task_changes
from harness.core.schema import AFFINITY_ROUNDS
from harness.workloads.multitask.methods.registry import METHODS
from tests.analysis.conftest import write_csv


def axes():
    """Return empty axes of a figure that no global state knows."""
    return Figure().add_subplot()


def test_every_method_of_the_registry_has_a_look_of_its_own():
    """No two methods share marker, hatch or colour, so figures read in grey and in colour."""
    looks = [method_style(name) for name in METHODS]
    for attribute in ("marker", "hatch", "colour"):
        values = [getattr(look, attribute) for look in looks]
        assert len(set(values)) == len(METHODS), attribute
    for one, other in itertools.combinations(looks, 2):
        distance = np.abs(np.subtract(to_rgb(one.colour), to_rgb(other.colour))).sum()
        assert distance > 0.2, (one, other)


def test_task_changes_by_hand(make_run):
    """Each task has a fifth of the total, so every reduction is that of the total, per seed."""
    drawn = task_changes.prepare(load_run(make_run()))
    alone = [0.60 + 0.01 * s + 1.5 / 16 for s in range(3)]
    mas = [0.57 + 0.01 * s + 1.5 / 16 for s in range(3)]
    expected = np.mean([100 * (1 - b / a) for a, b in zip(alone, mas, strict=True)])
    own = drawn[drawn["method"] == "mas:splits=2"]
    assert own["task"].tolist() == list("sdnkt")
    assert own["reduction_percent"].tolist() == pytest.approx([expected] * 5)
    assert "independent" not in set(drawn["method"])
    ax = task_changes.draw(axes(), drawn)
    assert sorted({round(patch.get_width(), 6) for patch in ax.patches}) == pytest.approx(
        sorted(drawn["reduction_percent"].round(6).unique())
    )
    assert all(patch.get_x() <= 0 <= patch.get_x() + patch.get_width() or patch.get_x() == 0
               for patch in ax.patches)  # fmt: skip


def test_task_changes_need_a_baseline(make_run):
    """Without independent the figure is not made, and the reason is said."""
    (outcome,) = task_changes.drawings(load_run(make_run(methods=("all-in-one",))))
    assert outcome.reason == "no method shares a seed with independent"


def test_stability_by_hand(make_run):
    """Two repeats of 100 s and 101 s stand 0.5 / 100.5 below and above their mean."""
    run = load_run(make_run(seeds=1, repeats=2, methods=("independent",)))
    drawn = stability.prepare(run.done, run.phases, "time_s")
    assert drawn["deviation_percent"].tolist() == pytest.approx([-50 / 100.5, 50 / 100.5])
    # the second cell starts 1000 s later: a rise of 100 / 100.5 % in 1000 s
    assert stability.drift_per_hour(drawn) == pytest.approx(100 / 100.5 * 3.6)
    ax = stability.draw(axes(), drawn, "Time")
    assert ax.lines[1].get_xdata().tolist() == pytest.approx([0.0, 1000 / 60])


def test_one_repeat_shows_no_stability(make_run):
    """Seeds are no repeats: three seeds measured once say nothing about measurement."""
    (outcome,) = stability.drawings(load_run(make_run()))
    assert isinstance(outcome, NotDrawn)


def test_runs_with_clocks_of_their_own_have_no_drift():
    """Starts of two runs are not on one clock, so no slope is fitted through them."""
    drawn = pd.DataFrame(
        {"run_id": ["a", "b"], "method": "m", "start_s": [0.0, 5.0],
         "deviation_percent": [1.0, -1.0]}
    )  # fmt: skip
    assert stability.drift_per_hour(drawn) is None
    assert stability.draw(axes(), drawn, "Time").get_xlabel() == "Cell, in order"


def test_schedule_lays_jobs_end_to_end(make_run):
    """mas: 3 thirteenths of 50 s merged, then 5 thirteenths for each group; evaluation is out."""
    drawn = schedule.prepare(load_run(make_run(seeds=2)))
    own = drawn[drawn["method"] == "mas:splits=2"]
    assert own["job"].tolist() == ["sdnkt", "sdn", "kt"]
    assert own["start_s"].tolist() == pytest.approx([0.0, 50 * 3 / 13, 50 * 8 / 13])
    assert own["end_s"].tolist()[-1] == pytest.approx(50.0)
    ax = schedule.draw(axes(), own, "sdnkt", inch_per_unit=0.05)
    assert [text.get_text() for text in ax.texts] == ["sdnkt", "sdn", "kt", "mas:splits=2"]
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert sorted(labels) == sorted("sdnkt")
    boxes = sorted({(round(p.get_x(), 9), p.get_height()) for p in ax.patches})
    assert [height for _, height in boxes] == [5, 3, 2]
    assert [start for start, _ in boxes] == pytest.approx([0.0, 50 * 3 / 13, 50 * 8 / 13])


def test_published_points_are_those_of_the_paper():
    """Read off the headline figure: MAS with two splits takes 8.83 of 16.93 hours."""
    points = published.published_points().set_index("method")
    assert points.loc["independent", "time_ratio"] == 1.0
    assert points.loc["mas:splits=2", "time_ratio"] == pytest.approx(8.83 / 16.93)
    assert points.loc["hoa:splits=4", "loss_ratio"] == pytest.approx(0.597 / 0.6028)
    assert set(points["source"]) == {"paper"}
    assert len(points) == 13


def test_our_points_stand_beside_them_as_another_source(make_run):
    """Ratios are paired by seed; the modelled time of another device is never among them.

    Three seeds of one ratio have no interval, six have.
    """
    own = published.own_points(load_run(make_run(run_id="six", seeds=6))).set_index("method")
    assert own.loc["mas:splits=2", "time_high"] == pytest.approx(0.5)
    own = published.own_points(load_run(make_run())).set_index("method")
    assert own.loc["mas:splits=2", "time_ratio"] == pytest.approx(0.5)
    assert pd.isna(own.loc["mas:splits=2", "time_high"])
    assert set(own["source"]) == {"this run"}
    both = pd.concat([published.published_points(), own.reset_index()])
    ax = published.draw(axes(), both)
    shape = method_style("mas:splits=2")
    marks = [
        line for line in ax.lines if line.get_marker() == shape.marker and len(line.get_xdata())
    ]
    places = {str(line.get_markerfacecolor()): line.get_xdata()[0] for line in marks}
    assert places["white"] == pytest.approx(8.83 / 16.93)  # open: the paper
    assert places[str(shape.colour)] == pytest.approx(0.5)  # filled: this run


def test_published_points_are_of_one_task_set(make_run):
    """A run of other tasks is not put beside them."""
    folder = make_run()
    path = folder / "cells.csv"
    path.write_text(re.sub(r",sdnkt,(\d),", r",erckt,\1,", path.read_text()))
    (outcome,) = published.drawings(load_run(folder))
    assert outcome.reason == "the published points are of sdnkt, the run is of erckt"


def test_devices_have_a_panel_per_kind_of_number(make_run):
    """Two boards, one measured; the other's joules are its seconds once more, so they have none."""
    runs = [
        load_run(make_run(run_id="a", device="pi", seeds=2, modelled=False)),
        load_run(make_run(run_id="b", device="nano", seeds=2, measured=False)),
    ]
    drawn = devices.prepare(runs)
    panels = {q: set(own["device"]) for q, own in drawn.groupby("quantity", sort=False)}
    assert panels == {
        "Time": {"pi", "nano"},
        "Measured energy (board, sampled)": {"pi"},
    }
    ratios = drawn[drawn["method"] == "all-in-one"]["ratio"]
    assert ratios.tolist() == pytest.approx([0.45] * 3)
    (drawing,) = devices.drawings(runs)
    assert "n = 2" in drawing.caption
    devices.draw(axes(), drawn[drawn["quantity"] == "Time"], "independent")


def test_gpu_and_processor_of_one_device_are_two(make_run):
    """Runs with --device NAME:gpu and NAME:cpu are told apart by these very names."""
    folders = [make_run(run_id=k, accelerator=k, matches=False) for k in ("gpu", "cpu")]
    runs = [load_run(folder) for folder in folders]
    (drawing,) = devices.drawings(runs)
    assert set(drawing.drawn["device"]) == {"jetson-nano:gpu", "jetson-nano:cpu"}


def test_repeated_runs_of_one_accelerator_keep_their_names(make_run):
    """A kind alone is no second device."""
    folders = [make_run(run_id=name, accelerator="gpu") for name in ("a", "b")]
    runs = [load_run(folder) for folder in folders]
    assert set(series_names(runs).values()) == {"jetson-nano (a)", "jetson-nano (b)"}
    (outcome,) = devices.drawings(runs)
    assert "all runs are of one device" in outcome.reason


def test_devices_with_another_workload_are_left_out_aloud(make_run):
    """Nine rounds on one board and eight on another say nothing about the boards."""
    names = ("a", "b", "c")
    rounds = (8, 8, 9)
    runs = [
        load_run(make_run(run_id=name, device=f"board-{name}", seeds=1, config={"rounds": own}))
        for name, own in zip(names, rounds, strict=True)
    ]
    (drawing,) = devices.drawings(runs)
    assert set(drawing.drawn["device"]) == {"board-a", "board-b"}
    assert "Left out, another workload or data: c." in drawing.caption
    (outcome,) = devices.drawings([runs[0], runs[2]])
    assert isinstance(outcome, NotDrawn)


@pytest.mark.parametrize("counter", [False, True])
def test_thinning_keeps_the_integral(counter):
    """100,000 uneven samples become at most 2,000 stretches of exactly the same energy."""
    rng = np.random.default_rng(0)
    time = np.cumsum(rng.uniform(0.001, 0.02, 100_000))
    watts = 5 + np.sin(time) + rng.normal(size=len(time))
    joules = np.concatenate([[0.0], np.cumsum(np.diff(time) * watts[1:])])
    energy = joules if counter else np.full(len(time), np.nan)
    trace = pd.DataFrame({"t_s": time, "rail": "r", "power_w": watts, "energy_j": energy})
    lines = power_data.thinned(trace)
    assert len(lines) <= power_data.MOST_POINTS
    area = (np.diff(lines["t_s"]) * lines["power_w"].to_numpy()[:-1]).sum()
    assert area == pytest.approx(joules[-1] if counter else np.trapezoid(watts, time))
    assert lines["low_w"].min() == watts.min()
    assert lines["high_w"].max() == watts.max()


def test_a_short_trace_is_drawn_as_it_is():
    """Thinning is for traces that print cannot show."""
    trace = pd.DataFrame(
        {"t_s": [0.0, 1.0], "rail": "r", "power_w": [2.0, 3.0], "energy_j": [np.nan, np.nan]}
    )
    assert power_data.thinned(trace)["power_w"].tolist() == [2.0, 3.0]
    assert power_data.thinned(trace)["low_w"].isna().all()


def test_front_share_counts_bootstrap_samples():
    """b beats a in every seed, so a is never on the front; c is cheaper than both, always on it."""
    rows = [
        {"method": m, "element": "seed", "seed": s, "cost": cost + s, "loss": loss + 0.1 * s}
        for m, cost, loss in (("a", 9.0, 5.0), ("b", 8.0, 4.0), ("c", 1.0, 9.0))
        for s in range(4)
    ]
    shares = pareto.front_shares(pd.DataFrame(rows), np.random.default_rng(0))
    assert shares == {"a": 0.0, "b": 1.0, "c": 1.0}
    two = pd.DataFrame([row for row in rows if row["seed"] < 2])
    assert pareto.front_shares(two, np.random.default_rng(0)) == {}


def two_seeds_apart(make_run, seeds):
    """Return a run whose loss of all-in-one jumps by a factor of three from seed to seed."""
    changes = {
        f"all-in-one-s{seed}-r0": {"total_loss": 0.4 if seed % 2 else 1.2} for seed in range(seeds)
    }
    return load_run(make_run(seeds=seeds, run_id=f"apart-{seeds}", cell_changes=changes))


def test_an_interval_of_two_seeds_does_not_set_the_axes(make_run):
    """Student's t of two seeds reaches to 12.7 standard errors: drawn, but the points stay big."""
    run = two_seeds_apart(make_run, 2)
    drawn = pareto.prepare(cost_basis(run))
    mean = drawn[(drawn["element"] == "mean") & (drawn["method"] == "all-in-one")].iloc[0]
    ax = pareto.draw(Figure().add_subplot(), drawn, "Measured energy", "J")
    low, high = ax.get_ylim()
    seeds = drawn.loc[drawn["element"] == "seed", "loss"]
    assert mean["loss"] + mean["loss_half_width"] > 5 > high
    assert low < seeds.min() < seeds.max() < high
    (outcome,) = pareto.drawings(run)
    assert "Intervals of two seeds may leave the axes." in outcome.caption
    points = published.own_points(run)
    ratios = pd.concat([published.published_points(), points], ignore_index=True)
    own = points[points["method"] == "all-in-one"].iloc[0]
    assert own["loss_high"] > 100 > published.draw(Figure().add_subplot(), ratios).get_ylim()[1]


def test_an_interval_of_three_seeds_is_inside_the_axes(make_run):
    """From three seeds on the whole interval must be seen."""
    run = two_seeds_apart(make_run, 3)
    drawn = pareto.prepare(cost_basis(run))
    mean = drawn[(drawn["element"] == "mean") & (drawn["method"] == "all-in-one")].iloc[0]
    ax = pareto.draw(Figure().add_subplot(), drawn, "Measured energy", "J")
    assert mean["loss"] + mean["loss_half_width"] < ax.get_ylim()[1]
    assert "leave the axes" not in pareto.drawings(run)[0].caption


def with_rounds(folder, values):
    """Write affinities of a cell that splits: in each round one value off the diagonal."""
    tasks = "sdnkt"
    rows = [
        {"round": number, "recipient": row, "source": column, "count": 1,
         "mean": 5.0 if row == column else value}
        for number, value in enumerate(values) for row in tasks for column in tasks
    ]  # fmt: skip
    (folder / "affinity").mkdir(exist_ok=True)
    write_csv(folder / "affinity" / "mas-splits-2-s0-r0_rounds.csv", AFFINITY_ROUNDS, rows)


def test_affinities_of_all_rounds_share_one_scale(make_run):
    """The largest value off the diagonal of any round, 0.004, is the end of every scale."""
    folder = make_run(seeds=1)
    (none,) = affinity_rounds.drawings(load_run(folder))
    assert isinstance(none, NotDrawn)
    with_rounds(folder, [0.001, -0.004, 0.002])
    (outcome,) = affinity_rounds.drawings(load_run(folder))
    figure = Figure()
    outcome.paint(figure, 3.5)
    images = [image for ax in figure.axes for image in ax.images]
    assert len(images) == 3
    assert {image.get_clim() for image in images} == {(-2.0, 2.0)}
    assert [round(float(image.get_array()[0, 1]), 6) for image in images] == [1.0, -4.0, 2.0]
    assert any("10⁻³" in ax.get_ylabel() for ax in figure.axes)


def test_of_many_rounds_the_first_and_the_last_are_among_those_shown(make_run):
    """Fourteen rounds do not fit: six of them, evenly spread."""
    folder = make_run(seeds=1)
    with_rounds(folder, [0.001] * 14)
    rounds = load_run(folder).affinity_rounds("mas-splits-2-s0-r0")
    shown = sorted(set(affinity_rounds.shown_rounds(rounds)["round"]))
    assert len(shown) == max(affinity_rounds.FULL)
    assert (shown[0], shown[-1]) == (0, 13)


def test_a_long_legend_makes_the_figure_taller_and_leaves_the_axes(make_run):
    """Nine methods with long names fill nine rows; the axes keep three quarters of their height."""
    few = ("independent", "all-in-one")
    many = ("independent", *(f"mas-plus:optimizer=heavy-ball,factor={n}" for n in range(1, 9)))
    heights = []
    for name, methods in (("few", few), ("many", many)):
        run = load_run(make_run(seeds=2, run_id=name, methods=methods))
        (outcome,) = pareto.drawings(run)
        with style.context(["default", figure_style()]):
            figure = new_figure("ieee", outcome.aspect, outcome.note)
            outcome.paint(figure, 3.5)
            figure.draw_without_rendering()
        heights.append(figure.axes[0].get_position().height * figure.get_figheight())
    assert heights[1] > 0.75 * heights[0]
