"""Say what a cell of multi-task models came to: losses, groups, measures, affinity, weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import safetensors.torch

from harness.federated.job import Traffic
from harness.records.cells import CellReport, CellResult
from harness.records.values import Value
from harness.records.work import Work
from harness.workloads.multitask.affinity_report import (
    affinity_files,
    checked_values,
    judged_words,
)
from harness.workloads.multitask.methods.registry import MultitaskMethod
from harness.workloads.multitask.sureness import measured_affinity, split_sure, sure_words
from harness.workloads.multitask.work import ENCODER
from models.multitask.captured import NO_GRAPH
from models.multitask.measures import BY_NAME, UNSEEN
from models.multitask.measures import MEASURES as TASK_MEASURES

if TYPE_CHECKING:
    from harness.workloads.multitask.methods.schedule import Served
    from harness.workloads.multitask.study import MultitaskStudy


def cell_report(study: MultitaskStudy, result: CellResult) -> CellReport:
    """Return columns, values and files of a cell."""
    config = study.config
    columns: dict[str, object] = {
        "tasks": config.tasks, "rounds": config.rounds, "clients": config.clients,
        "clients_per_round": config.clients_per_round,
    }  # fmt: skip
    counted = _spec(result).parameters(config.setting).get("affinity_rounds")
    files = affinity_files(result, None if counted is None else int(counted))
    common = CellReport(
        columns=columns,
        before=_constants(study.constants),
        values=[*_means_of_groups(result), *_serving(result), *checked_values(result)],
        units={UNSEEN + name: m.unit for name, m in BY_NAME.items()}
        | {name: m.unit for name, m in BY_NAME.items()},
        texts={f"affinity/{name}": text for name, text in files.items()},
        binaries=_weights(result),
        notes=_launches(study),
    )
    if result.status != "done":
        return common
    sure = split_sure(measured_affinity(result), _spec(result), config.setting)
    losses, unseen = task_losses(result), unseen_losses(result)
    total = math.fsum(losses.values())
    sent = sum((o.traffic for o in result.trained), Traffic())
    work = result.cost.work
    columns |= {
        "groups": "|".join(groups(result)), "split_sure": sure,
        "total_loss": total,
        "unseen_total_loss": math.fsum(unseen.values()) if unseen else None,
        "upload_bytes": sent.upload_bytes, "download_bytes": sent.download_bytes,
        "encoder_passes": work.passes("encoder"), "decoder_passes": work.passes("decoders"),
        **_looks(result),
        "time_predicted_s": study.timing.calibration.time_s(work),
        "batch_size": config.batch_size, "step": study.step.execution.text,
    }  # fmt: skip
    return replace(
        common, objective=total, columns=columns, standing=asdict(standing(result)),
        summary=f"test loss {sum(losses.values()):.3f}, {'|'.join(groups(result))}"
        + sure_words(sure)
        + judged_words(result)
        + _singly_words(common.notes.get("launches", {})),
    )  # fmt: skip


def _launches(study: MultitaskStudy) -> dict[str, Any]:
    """Return the steps by how they were launched, where graphs are asked for."""
    counted = {how: steps for found in study.launches for how, steps in sorted(found.items())}
    return {"launches": counted} if counted else {}


def _singly_words(launches: Mapping[str, int]) -> str:
    """Say why steps were launched one by one that could have been a graph."""
    faults = [how for how in launches if how.startswith(NO_GRAPH)]
    return "; steps launched one by one, " + "; ".join(faults) if faults else ""


def _spec(result: CellResult) -> MultitaskMethod:
    spec = result.cell.spec
    assert isinstance(spec, MultitaskMethod)  # cells of this workload have its methods
    return spec


def _constants(constants: Mapping[str, Mapping[str, float]]) -> list[Value]:
    return [
        Value(0, "", task, "evaluate", name, loss)
        for name, losses in constants.items()
        for task, loss in losses.items()
    ]


def _weights(result: CellResult) -> dict[str, bytes]:
    """Return the models that serve, as safetensors by path."""
    found = {}
    for served in result.served:
        outcome = served.outcome
        tensors = {k: v.contiguous() for k, v in outcome.weights.tensors.items()}
        name = f"checkpoints/{result.cell.name}/{outcome.job.name}.safetensors"
        found[name] = safetensors.torch.save(tensors)
    return found


def task_losses(result: CellResult) -> dict[str, float]:
    """Return the last test loss of every task, the mean over the models that serve it."""
    return _means((task, s.outcome.losses[task]) for task, s in _by_task(result.served))


def unseen_losses(result: CellResult) -> dict[str, float]:
    """Return the last loss on unseen buildings of every task; empty if there are none."""
    return _means(
        (task, s.outcome.unseen_losses[task])
        for task, s in _by_task(result.served)
        if task in s.outcome.unseen_losses
    )


def groups(result: CellResult) -> list[str]:
    """Return the groups of tasks that were trained to serve, each once."""
    return list(dict.fromkeys(served.outcome.job.tasks for served in result.served))


def _by_task(served: Sequence[Served]) -> Iterator[tuple[str, Served]]:
    return ((task, one) for one in served for task in one.tasks)


def _means(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the mean of every task's values."""
    found: dict[str, list[float]] = {}
    for task, value in values:
        found.setdefault(task, []).append(value)
    return {task: math.fsum(those) / len(those) for task, those in found.items()}


def _looks(result: CellResult) -> dict[str, float]:
    """Return what look-aheads cost beside the training steps, in forward passes."""
    segments = (figure.segment for figure in result.segment_costs)
    looks = sum((s.work for s in segments if s.label.phase == "affinity"), Work()).forwards
    return {
        "look_ahead_encoder_forwards": looks.get(ENCODER, 0.0),
        "look_ahead_decoder_forwards": math.fsum(n for p, n in looks.items() if p != ENCODER),
    }


def _serving(result: CellResult) -> list[Value]:
    """Return one value per task and model that serves it, so that overlapping groups are clear."""
    return [
        Value(served.outcome.job.last_round, served.outcome.job.name, task, "evaluate", "serves", 1)
        for served in result.served
        for task in served.tasks
    ]


def _means_of_groups(result: CellResult) -> list[Value]:
    """Return losses and measures averaged over the models of a group, where there are several."""
    jobs = [served.outcome.job for served in result.served]
    groups = {job.tasks for job in jobs if job.name != job.tasks}
    measured, losses = task_measures(result), task_losses(result)
    unseen = unseen_losses(result)
    found = []
    for group in sorted(groups):
        for task in group:
            means = {"test_loss": losses[task], **measured.get(task, {})}
            if task in unseen:
                means["test_unseen_loss"] = unseen[task]
            found += [
                Value(jobs[0].last_round, group, task, "evaluate", name, mean)
                for name, mean in means.items()
            ]
    return found


def task_measures(result: CellResult) -> dict[str, dict[str, float]]:
    """Return every task's last measures by name, averaged over the models that serve it."""
    last = {(served.outcome.job.name, served.outcome.job.last_round): served.tasks
            for served in result.served}  # fmt: skip
    found: dict[str, dict[str, list[float]]] = {}
    for v in result.values:
        serves = v.task and v.task in last.get((v.job, v.rounds_done), "")
        if serves and v.metric.removeprefix(UNSEEN) in BY_NAME:
            found.setdefault(v.task, {}).setdefault(v.metric, []).append(v.value)
    return {
        task: {name: math.fsum(those) / len(those) for name, those in values.items()}
        for task, values in found.items()
    }


@dataclass(frozen=True)
class Standing:
    """Hold what two methods are compared by: every task's last test loss and measures."""

    losses: Mapping[str, float] = field(default_factory=dict)
    measures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def standing(result: CellResult) -> Standing:
    """Return where a cell stands; empty if it is not done."""
    return Standing(task_losses(result), task_measures(result))


def gains(own: Standing, reference: Standing) -> dict[str, float | None]:
    """Return the columns of cells.csv that compare a cell with the reference of its seed."""
    return {
        "delta_mtl": delta_mtl(own.losses, reference.losses),
        "delta_metric": delta_metric(own.measures, reference.measures),
    }


def delta_mtl(losses: Mapping[str, float], reference: Mapping[str, float]) -> float | None:
    """Return Δ_MTL in percent: the mean relative loss reduction over tasks, positive is better."""
    if not losses or losses.keys() != reference.keys():
        return None
    changes = [(reference[task] - loss) / reference[task] for task, loss in losses.items()]
    return 100.0 * math.fsum(changes) / len(changes)


def delta_metric(
    measures: Mapping[str, Mapping[str, float]], reference: Mapping[str, Mapping[str, float]]
) -> float | None:
    """Return Δ of the measures in percent, positive is better.

    As LibMTL (Lin and Zhang, JMLR 2023): the relative gains of a task's measures, each signed by
    its better direction, are averaged first, then the tasks. Measures on unseen buildings are not
    in it. None if the reference lacks a measure or one of its measures is 0.
    """
    if not measures or measures.keys() != reference.keys():
        return None
    tasks: list[float] = []
    for task, values in measures.items():
        those = [m for m in TASK_MEASURES[task] if m.name in values]
        if not those or not all(reference[task].get(m.name) for m in those):
            return None
        relative = [
            (values[m.name] / reference[task][m.name] - 1.0) * (1 if m.better == "higher" else -1)
            for m in those
        ]
        tasks.append(math.fsum(relative) / len(relative))
    return 100.0 * math.fsum(tasks) / len(tasks)
