"""Check who serves a task when groups overlap or every client has a model of its own."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from harness.federated.job import Checkpoint, Traffic
from harness.federated.observer import SilentObserver
from harness.measurement.phases import PhaseLog
from harness.measurement.recorder import CellRecorder
from harness.records.cells import Cell, CellReport, CellResult
from harness.records.cost import Cost
from harness.records.work import Work
from harness.run_folder.rows import RunFacts, cell_row, metric_rows
from harness.workloads.multitask import settings
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods import registry
from harness.workloads.multitask.methods.cost import Calibration
from harness.workloads.multitask.methods.schedule import Served, carry_out
from harness.workloads.multitask.planning.calibration import RunTiming
from harness.workloads.multitask.planning.plan import (
    cell_setting,
    planned_jobs,
    planned_run,
    planned_work,
)
from harness.workloads.multitask.report import cell_report, groups, task_losses, unseen_losses
from harness.workloads.multitask.workload import WORKLOAD
from models.execution import PLAIN

NO_BILL = Cost(1.0, None, None, None, "no meter", 2.0, Work())


def _outcome(job: Job, losses: dict[str, float], numbers: int = 2) -> Outcome:
    """Return what came of a job of two clients a round, whose models have so many float32."""
    unseen = {task: 10 * loss for task, loss in losses.items()}
    sent = job.rounds * 2 * 4 * numbers if job.travels else 0
    weights = Checkpoint({"w": torch.zeros(numbers)})
    return Outcome(job, weights, losses, None, unseen, traffic=Traffic(sent, sent))


def _result(text: str, served: list[Served], trained: list[Outcome]) -> CellResult:
    recorder = CellRecorder("c", PhaseLog(), lambda _: None)
    cell = Cell(registry.parse(text), 0, 0)
    return CellResult(cell, recorder.values, [], NO_BILL, served, trained, None, "done", "")


def _report(result: CellResult, config: MultitaskConfig) -> CellReport:
    timing, step = RunTiming(Calibration({})), SimpleNamespace(execution=PLAIN)
    study = SimpleNamespace(config=config, constants={}, timing=timing, step=step, launches=[])
    return cell_report(study, result)


def _row(result: CellResult, config: MultitaskConfig) -> dict[str, object]:
    facts = RunFacts("run", "x86", True, WORKLOAD.name, WORKLOAD.objective, lambda: None)
    return cell_row(facts, result, _report(result, config))


def _metrics(result: CellResult) -> list[dict[str, object]]:
    return metric_rows("run", result, _report(result, MultitaskConfig()))


@pytest.fixture
def overlapping() -> CellResult:
    """TAG: groups sd and dn after a merged run; d is served by dn, whose loss there is higher."""
    merged = _outcome(Job("sdn", 4, measure_affinity=True), dict.fromkeys("sdn", 9.0), 5)
    one = _outcome(Job("sd", 4), {"s": 1.0, "d": 0.1}, 3)
    two = _outcome(Job("dn", 4), {"d": 0.25, "n": 4.0}, 3)
    return _result("tag", [Served("s", one), Served("dn", two)], [merged, one, two])


@pytest.fixture
def alone() -> CellResult:
    """Standalone: three clients with a merged model each."""
    outcomes = [
        _outcome(Job("sd", 4, clients=(client,)), {"s": 1.0 + client, "d": 0.5}) for client in
        range(3)
    ]  # fmt: skip
    return _result("standalone", [Served("sd", o) for o in outcomes], outcomes)


def test_overlapping_groups_count_each_task_once(overlapping) -> None:
    """The group named as serving gives the loss, not the last or the smallest one."""
    row = _row(overlapping, MultitaskConfig(clients_per_round=2))

    assert task_losses(overlapping) == {"s": 1.0, "d": 0.25, "n": 4.0}
    assert row["groups"] == "sd|dn"
    assert row["total_loss"] == math.fsum([1.0, 0.25, 4.0])
    assert row["unseen_total_loss"] == math.fsum([10.0, 2.5, 40.0])
    assert (row["objective"], row["objective_value"]) == ("total_loss", row["total_loss"])
    # 4 rounds, 2 clients, models of 5, 3 and 3 float32 numbers
    assert row["upload_bytes"] == row["download_bytes"] == 4 * 2 * 4 * (5 + 3 + 3)


def test_standalone_losses_are_means_over_clients(alone) -> None:
    """s is (1 + 2 + 3) / 3; the group is named once; nothing is sent by clients that are alone."""
    row = _row(alone, MultitaskConfig(clients_per_round=2))

    assert task_losses(alone) == {"s": 2.0, "d": 0.5}
    assert row["groups"] == "sd"
    assert row["total_loss"] == 2.5
    assert (row["upload_bytes"], row["download_bytes"]) == (0, 0)


def test_metrics_say_who_serves_what(overlapping, alone) -> None:
    """One `serves` row per task and serving model; models of clients have names of their own."""
    shown = [
        {(r["task"], r["job"]) for r in _metrics(result) if r["metric"] == "serves"}
        for result in (overlapping, alone)
    ]

    assert shown[0] == {("s", "sd"), ("d", "dn"), ("n", "dn")}
    assert shown[1] == {(t, f"sd@{c}") for t in "sd" for c in range(3)}


def test_metrics_hold_the_mean_over_clients_and_nothing_more(overlapping, alone) -> None:
    """The group's mean losses stand under the group's name, so tables per task find them."""
    means = {
        (r["job"], r["task"], r["metric"]): r["value"]
        for r in _metrics(alone)
        if r["metric"] != "serves"
    }

    assert means == {
        ("sd", "s", "test_loss"): 2.0, ("sd", "d", "test_loss"): 0.5,
        ("sd", "s", "test_unseen_loss"): 20.0, ("sd", "d", "test_unseen_loss"): 5.0,
    }  # fmt: skip
    rows = _metrics(overlapping)
    assert {r["metric"] for r in rows} == {"serves"}


def test_a_cell_that_failed_serves_nothing() -> None:
    """Without an outcome there are no losses, groups or rows of serving."""
    broken = replace(_result("standalone", [], []), status="failed", reason="why")

    assert (task_losses(broken), unseen_losses(broken), groups(broken)) == ({}, {}, [])
    assert _metrics(broken) == []
    assert "total_loss" not in _row(broken, MultitaskConfig())


class _Adding(SilentObserver):
    def __init__(self) -> None:
        self.total = Work()

    def work(self, done: Work) -> None:
        self.total = self.total + done


@pytest.mark.parametrize(
    "text",
    ["standalone", "pcgrad", "gradnorm", "fedprox", "random-split:merge_rounds=1",
     "best-split:merge_rounds=0", "worst-split:splits=3", "mas:merge_rounds=2,affinity_rounds=1",
     "mas:init=scratch,lr=restart"],
)  # fmt: skip
def test_planned_passes_are_the_executed_ones(text: str, make_source, tiny_architecture) -> None:
    """For clients of equal size the plan on paper equals the work counted while training."""
    config = replace(
        MultitaskConfig(), clients=4, images=24, unseen_buildings=1, unseen_images=4, tasks="sdn",
        clients_per_round=2, rounds=3, batch_size=5, look_ahead_every=2, evaluate_every=2,
    )  # fmt: skip
    source = make_source((20,) * 4, held_out=4)
    observer = _Adding()
    engine = LocalEngine(source, tiny_architecture, settings.federation(config), 5, observer)
    spec, setting = registry.parse(text), cell_setting(config, 5)
    carry_out(spec.schedule(setting), engine)

    planned = sum((planned_work(j, config) for j in planned_jobs(spec, setting)), Work())

    assert planned.passes("encoder") == observer.total.passes("encoder")
    assert planned.passes("decoders") == observer.total.passes("decoders")
    assert planned.forwards["encoder"] == observer.total.forwards["encoder"]
    assert sum(planned.forwards.values()) == sum(observer.total.forwards.values())


@pytest.mark.parametrize(
    ("clients", "travelling"), [(None, 2), ((0, 1, 3), 2), ((1, 3), 2), ((2,), 0)]
)
def test_the_engine_counts_every_model_that_travels(
    clients, travelling, tiny_source, tiny_architecture, federation
) -> None:
    """3 rounds of 2 clients send and get each a whole model; one that is alone sends nothing."""
    job = Job("sd", 3, clients=clients)
    engine = LocalEngine(tiny_source, tiny_architecture, federation, 0, SilentObserver())

    outcome = engine.run(job)

    model = sum(t.numel() * t.element_size() for t in outcome.weights.tensors.values())
    sent = 3 * travelling * model
    assert (outcome.traffic.upload_bytes, outcome.traffic.download_bytes) == (sent, sent)


def test_standalone_is_planned_for_every_client() -> None:
    """N clients train R rounds each, where all-in-one trains K of them: N/K times the encoder."""
    alone, merged = (
        planned_jobs(registry.parse(text), cell_setting(MultitaskConfig(clients=8), 0))
        for text in ("standalone", "all-in-one")
    )
    config = MultitaskConfig(clients=8, clients_per_round=2)

    passes = [
        sum(planned_work(j, config).passes("encoder") for j in jobs) for jobs in (alone, merged)
    ]
    assert passes[0] == 8 / 2 * passes[1]
    assert planned_run(replace(config, methods=("standalone",))).forwards["encoder"] > passes[0]
