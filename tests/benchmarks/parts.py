"""Time what merging saves: each decoder beside the encoder, a merged step beside a single one.

Every figure is a ratio of two things timed in turn within one run, so that it holds on a machine
whose speed drifts.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from harness.workloads.multitask.planning.plan import random_batch
from models.multitask.losses import task_loss
from models.multitask.network import MultiTaskNet, build
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from models.multitask.tasks import TASKS
from tests.benchmarks.load import use_all_cores

REPEATS = 100
BATCH_SIZE = 8
SIZE_PX = 64


def seconds(action: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def ratios(one: Callable[[], object], other: Callable[[], object]) -> list[float]:
    """Return sorted ratios one / other, timed in turn after three warm-up calls of each."""
    for _ in range(3):
        one()
        other()
    return sorted(seconds(one) / seconds(other) for _ in range(REPEATS))


def row(name: str, found: list[float], goal: str) -> str:
    """Return a line of the table: minimum, median, maximum."""
    middle = found[len(found) // 2]
    return f"| {name} | {found[0]:.2f} | {middle:.2f} | {found[-1]:.2f} | {goal} |"


def decoder_shares(net: MultiTaskNet) -> list[str]:
    """Return each decoder's forward, loss and backward over the encoder's forward and backward."""
    images, targets = random_batch("".join(net.tasks), BATCH_SIZE, SIZE_PX)
    features = net.encoder(images).detach()

    def encode() -> None:
        output = net.encoder(images)
        output.backward(torch.ones_like(output))

    lines = []
    for task in net.tasks:

        def decode(task: str = task) -> None:
            shared = features.detach().requires_grad_()
            task_loss(task, net.decoders[task](shared), targets[task]).backward()

        lines.append(row(f"decoder {task} / encoder", ratios(decode, encode), "≤ 0.3"))
    return lines


def merged_steps() -> list[str]:
    """Return a merged step of five tasks over a step of one of them."""
    small = architecture("small")
    images, targets = random_batch("sdnkt", BATCH_SIZE, SIZE_PX)
    merged = build(small, "sdnkt", 0).train()
    lines = []
    for task in "sdnkt":
        single = build(small, task, 0).train()
        found = ratios(
            lambda: accumulate_gradients(merged, images, targets),
            lambda single=single: accumulate_gradients(single, images, targets),  # type: ignore[misc]
        )
        lines.append(row(f"merged sdnkt / single {task}", found, "≤ 2.0"))
    return lines


def report() -> list[str]:
    """Return the table of all ratios, timed on all cores this process may use."""
    use_all_cores()
    net = build(architecture("small"), "".join(TASKS), 0).train()
    head = [
        f"small network, {SIZE_PX}×{SIZE_PX}, batch {BATCH_SIZE},"
        f" {torch.get_num_threads()} threads, {REPEATS} pairs",
        "",
        "| ratio | min | median | max | goal |",
        "|---|---|---|---|---|",
    ]
    return head + decoder_shares(net) + merged_steps()
