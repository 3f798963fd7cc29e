"""Foretell what a run will do and take: the methods' own schedules, carried out on paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from harness.federated.job import Checkpoint
from harness.records.cells import Cell
from harness.records.work import Work
from harness.workloads.multitask.affinity.matrix import Affinity, RoundAffinity
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods.cost import Load, job_cost
from harness.workloads.multitask.methods.registry import MultitaskMethod
from harness.workloads.multitask.methods.schedule import Setting, carry_out
from harness.workloads.multitask.rounds import Draw
from harness.workloads.multitask.training.joining import SERVERS
from harness.workloads.multitask.work import evaluating
from models.execution import Execution

if TYPE_CHECKING:
    from torch import Tensor

    from models.multitask.network import Architecture, MultiTaskNet


class PaperEngine:
    """Take jobs, train nothing, and keep a list of them.

    Affinities and losses are made up from a fixed generator, and so are the groups of a split; how
    many there are, and so the cost, is right wherever the method asks for an exact number. Where
    groups overlap (tag, hoa) their sizes are only typical.
    """

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._random = np.random.default_rng(0)

    def run(self, job: Job) -> Outcome:
        """Write the job down."""
        self.jobs.append(job)
        made_up = self._random.normal(size=(len(job.tasks), len(job.tasks)))
        rounds = (RoundAffinity(job.first_round, made_up, made_up, 0),)
        affinity = Affinity(job.tasks, rounds) if job.measure_affinity else None
        losses = {task: float(self._random.uniform(0.9, 1.1)) for task in job.tasks}
        return Outcome(job, Checkpoint({}), losses, affinity, validation_losses=losses)


def cell_setting(config: MultitaskConfig, seed: int) -> Setting:
    """Return what a method is asked to train in the cells of one seed."""
    return replace(config.setting, clients=config.clients, seed=seed)


def planned_jobs(spec: MultitaskMethod, setting: Setting) -> list[Job]:
    """Return the jobs a method will ask for."""
    engine = PaperEngine()
    carry_out(spec.schedule(setting), engine)
    return engine.jobs


def planned_load(config: MultitaskConfig, seed: int) -> Load:
    """Return what the cost of a job depends on, beside the job."""
    return Load(
        lengths=config.layout.lengths["train"],
        draw=Draw(
            config.layout.count("train"),
            config.clients_per_round,
            seed,
            config.setting.protocol,
        ),
        epochs=config.epochs,
        batch_size=config.batch_size,
        look_ahead_every=config.look_ahead_every,
        joining=SERVERS[config.server],
    )


def planned_work(job: Job, config: MultitaskConfig, seed: int | None = None) -> Work:
    """Return the passes of one job in the cells of a seed (default: the first), tests included."""
    cost = job_cost(job, planned_load(config, config.seeds[0] if seed is None else seed))
    tests = sum(
        1
        for done in range(job.first_round + 1, job.last_round + 1)
        if done % config.evaluate_every == 0 or done == job.last_round
    )
    if job.passing:  # nobody judges it
        return cost.work
    images = max(tests, 1) * config.layout.images("test")
    validation = config.layout.images("validation")
    unseen = config.layout.images("test_unseen")
    return cost.work + evaluating(job.tasks, images + validation + unseen)


def build_for(
    architecture: Architecture, tasks: str, config: MultitaskConfig, execution: Execution
) -> MultiTaskNet:
    """Build a network to try steps on: the run's loss, in training mode."""
    from harness.running.accelerator import torch_device  # noqa: PLC0415
    from models.multitask.losses import named  # noqa: PLC0415 - planning on paper needs no torch
    from models.multitask.network import build  # noqa: PLC0415

    net = build(architecture, tasks, 0, named(config.loss, masked=False))
    net.to(torch_device(config.kind_here))
    return net.execute_as(execution).train()


def random_step(net: MultiTaskNet, config: MultitaskConfig) -> Callable[[], None]:
    """Return a training step on random images; it hardly moves the weights."""
    from models.multitask.captured import CapturedStep, CudaGraphs  # noqa: PLC0415 - imports torch
    from models.multitask.optimizer import descent  # noqa: PLC0415
    from models.multitask.step import accumulate_gradients  # noqa: PLC0415
    from models.products import products  # noqa: PLC0415

    device = net.device
    images, targets = random_batch("".join(net.tasks), config.batch_size, config.size)
    images, targets = images.to(device), {t: target.to(device) for t, target in targets.items()}
    settings = {"momentum": 0.9, "weight_decay": 1e-4}
    if net.execution.launch == "graph":
        captured = CapturedStep(net, partial(accumulate_gradients, net), settings, CudaGraphs())
        captured.begin(1e-6)

        def replayed() -> None:
            captured(images, targets)
            if captured.fault:
                raise RuntimeError(f"no graph of the step can be made: {captured.fault}")

        return replayed
    optimizer = descent(net, net.execution, lr=1e-6, **settings)

    def step() -> None:
        with products(net.execution):
            optimizer.zero_grad(set_to_none=True)
            accumulate_gradients(net, images, targets)
            optimizer.step()

    return step


def random_batch(tasks: str, batch_size: int, size: int) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Return images and targets of the right shapes, filled from a fixed generator."""
    import torch  # noqa: PLC0415

    from models.multitask.tasks import SEMANTIC_CLASSES, TASKS  # noqa: PLC0415

    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch_size, size, size, 3, generator=generator).permute(0, 3, 1, 2)
    targets = {
        t: torch.randint(1, SEMANTIC_CLASSES, (batch_size, size, size), generator=generator)
        if TASKS[t].loss == "cross-entropy"
        else torch.rand(batch_size, TASKS[t].channels, size, size, generator=generator)
        for t in tasks
    }
    return images, targets


@dataclass(frozen=True)
class Estimate:
    """Hold what a run is expected to take: seconds here, modelled joules, bytes of data.

    `time_model_s` are seconds of the device answered for; None if that is the host.
    """

    time_s: float
    energy_model_j: float
    disk_bytes: float
    time_model_s: float | None = None


def planned_run(config: MultitaskConfig, done: Mapping[str, float] | None = None) -> Work:
    """Return the passes of all cells, but for what is done.

    `done` holds cell → task-rounds; of a cell that is begun the same share of all its passes is.
    """
    total = Work()
    for spec in config.method_specs():
        jobs = planned_jobs(spec, cell_setting(config, config.seeds[0]))
        steps = sum(len(job.tasks) * job.rounds for job in jobs)
        cells = [Cell(spec, seed, n) for seed in config.seeds for n in range(config.repeats)]
        left = [1.0 - min(1.0, (done or {}).get(cell.name, 0.0) / steps) for cell in cells]
        once = sum((planned_work(job, config) for job in jobs), Work())
        total += Work({part: passes * sum(left) for part, passes in once.forwards.items()})
    return total
