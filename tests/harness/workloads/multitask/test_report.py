"""Check what is written about measures: units, means over models, comparison with a reference."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from harness.federated.job import Checkpoint
from harness.measurement.phases import PhaseLog
from harness.measurement.recorder import CellRecorder
from harness.records.cells import Cell, CellResult
from harness.records.cost import Cost
from harness.records.work import Work
from harness.run_folder.rows import metric_rows
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods import registry
from harness.workloads.multitask.methods.schedule import Served
from harness.workloads.multitask.report import (
    Standing,
    cell_report,
    delta_metric,
    delta_mtl,
    gains,
    standing,
)
from models.multitask.measures import BY_NAME, MEASURES


def _result(served: list[Served], reported) -> CellResult:
    """Return a cell whose engine reported (job, round, task, metric, value) one after another."""
    recorder = CellRecorder("c", PhaseLog(), lambda _: None)
    for job, rounds_done, task, name, value in reported:
        recorder.job_started(job)
        recorder.metric(rounds_done, "evaluate", name, task, value)
    cost = Cost(1.0, None, None, None, "no meter", 2.0, Work())
    cell = Cell(registry.parse("standalone"), 0, 0)
    return CellResult(cell, recorder.values, [], cost, served, [], None, "done", "")


def _rows(result: CellResult, constants) -> list[dict[str, object]]:
    """Return the cell's rows of metrics.csv, as its workload reports on it."""
    study = SimpleNamespace(
        config=MultitaskConfig(),
        constants=constants,
        launches=[],
        timing=SimpleNamespace(calibration=SimpleNamespace(time_s=lambda _: 1.0)),
        step=SimpleNamespace(execution=SimpleNamespace(text="plain")),
    )
    return metric_rows("run", result, cell_report(study, result))


def _served(job: Job, losses: dict[str, float], tasks: str = "") -> Served:
    return Served(tasks or job.tasks, Outcome(job, Checkpoint({}), losses))


@pytest.fixture
def split() -> CellResult:
    """A merged job of two rounds, then group d to round 4; measures were taken at both ends."""
    merged, group = Job("dk", 2), Job("d", 2, first_round=2)
    other = Job("k", 2, first_round=2)
    reported = [
        (merged, 2, "d", "abs_error_m", 9.0), (merged, 2, "k", "l1", 9.0),
        (group, 4, "d", "abs_error_m", 0.5), (group, 4, "d", "unseen_abs_error_m", 0.75),
        (other, 4, "k", "l1", 0.25), (other, 4, "k", "validation_loss", 0.125),
    ]  # fmt: skip
    return _result([_served(group, {"d": 1.0}), _served(other, {"k": 2.0})], reported)


@pytest.fixture
def alone() -> CellResult:
    """Two clients with a model each."""
    jobs = [Job("d", 3, clients=(client,)) for client in range(2)]
    reported = [(job, 3, "d", name, value + job.clients[0]) for job in jobs
                for name, value in (("rmse_m", 1.0), ("unseen_rmse_m", 3.0))]  # fmt: skip
    return _result([_served(job, {"d": 0.5}) for job in jobs], reported)


def test_a_cell_stands_where_its_serving_models_stand(split, alone) -> None:
    """The last measures of the jobs that serve; several models of one task are averaged."""
    assert standing(split) == Standing(
        {"d": 1.0, "k": 2.0},
        {"d": {"abs_error_m": 0.5, "unseen_abs_error_m": 0.75}, "k": {"l1": 0.25}},
    )
    assert standing(alone).measures == {"d": {"rmse_m": 1.5, "unseen_rmse_m": 3.5}}


def test_measures_are_written_with_their_units(split) -> None:
    """Metres say so, on unseen buildings too; pure numbers and losses have no unit."""
    constants = {"median_predictor_loss": {"d": 0.5}}
    rows = _rows(split, constants)

    assert rows[0]["metric"] == "median_predictor_loss"
    units = {row["metric"]: row["unit"] for row in rows}
    assert units == {
        "median_predictor_loss": "", "abs_error_m": "m", "unseen_abs_error_m": "m", "l1": "",
        "validation_loss": "", "serves": "",
    }  # fmt: skip


def test_means_over_clients_are_written_for_measures_too(alone) -> None:
    """Under the group's name stand the means of losses and measures."""
    means = {row["metric"]: row["value"] for row in _rows(alone, {})
             if row["job"] == "d"}  # fmt: skip

    assert means == {"test_loss": 0.5, "rmse_m": 1.5, "unseen_rmse_m": 3.5}


def _random(seed: int, tasks: str) -> dict[str, dict[str, float]]:
    rng = np.random.default_rng(seed)
    return {t: {m.name: float(rng.uniform(0.1, 2.0)) for m in MEASURES[t]} for t in tasks}


@pytest.mark.parametrize("tasks", ["s", "d", "sdnkt", "sdnkterca"])
def test_delta_of_measures_is_what_plain_loops_give(tasks: str) -> None:
    """(1/T) Σ_t (1/M_t) Σ_m ± (value − reference) / reference × 100, + where more is better."""
    for seed in range(5):
        own, reference = _random(seed, tasks), _random(seed + 100, tasks)
        total = 0.0
        for task in tasks:
            of_task = 0.0
            for name in own[task]:
                change = (own[task][name] - reference[task][name]) / reference[task][name]
                of_task += change if BY_NAME[name].better == "higher" else -change
            total += of_task / len(own[task])

        assert delta_metric(own, reference) == pytest.approx(100.0 * total / len(tasks))


def test_the_reference_gains_nothing_on_itself() -> None:
    """Δ of anything against itself is 0; unseen measures and the order of tasks do not matter."""
    own = _random(1, "sdn")
    with_unseen = {t: {**v, "unseen_x": 5.0} for t, v in reversed(own.items())}

    assert delta_metric(own, own) == 0.0
    assert delta_metric(with_unseen, own) == pytest.approx(0.0, abs=1e-12)


def test_better_is_positive_for_every_measure() -> None:
    """Improving any single measure by a tenth raises Δ by 10 % over its tasks and measures."""
    reference = _random(2, "sdnc")
    for task, measure in [(t, m) for t in "sdnc" for m in MEASURES[t]]:
        own = {t: dict(v) for t, v in reference.items()}
        own[task][measure.name] *= 1.1 if measure.better == "higher" else 0.9
        assert delta_metric(own, reference) == pytest.approx(10.0 / 4 / len(MEASURES[task]))


@pytest.mark.parametrize("broken", [{}, {"d": {}}, {"d": {"rmse_m": 0.0}}, {"d": {"rel_error": 1}}])
def test_without_a_full_reference_there_is_no_delta(broken) -> None:
    """No reference, another task set, a missing measure or a zero: empty instead of a guess."""
    assert delta_metric({"d": {"rmse_m": 1.0}}, broken) is None
    assert delta_metric({}, {}) is None


def test_both_gains_are_columns_of_the_cell(split) -> None:
    """Losses 1 and 2 against 2 and 2: Δ_MTL = (50 + 0) / 2; measures against twice as bad ones."""
    reference = Standing({"d": 2.0, "k": 2.0}, {"d": {"abs_error_m": 1.0}, "k": {"l1": 0.5}})

    assert gains(standing(split), reference) == {"delta_mtl": 25.0, "delta_metric": 50.0}
    assert gains(standing(split), Standing()) == {"delta_mtl": None, "delta_metric": None}
    losses = {"d": 1.0, "k": 2.0}
    assert math.isclose(delta_mtl(losses, {"d": 0.5, "k": 4.0}), 100 * (-1.0 + 0.5) / 2)
