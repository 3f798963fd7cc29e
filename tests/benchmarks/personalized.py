"""Time the server of pFedClub: likeness of blocks, groups, search, and rounds by clients.

Processor seconds of one thread; ratios are of paired runs, so that a busy machine does not decide.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import torch

from harness.federated.prefixed import under
from harness.federated.random_streams import random_stream
from harness.measurement.phases import PhaseLog
from harness.measurement.recorder import CellRecorder
from harness.workloads.personalized.data.clubs import Club, DataSettings, open_data
from harness.workloads.personalized.data.split import Division
from harness.workloads.personalized.federation import ClubSetup, TrainingSettings
from harness.workloads.personalized.job import ClubJob
from harness.workloads.personalized.methods.registry import parse
from harness.workloads.personalized.methods.rule import ServerSide
from harness.workloads.personalized.rounds import ClubFederation
from harness.workloads.personalized.server.likeness import cka, likeness, pooled, traces
from models.personalized.blocks import ChainNet, build
from tests.benchmarks.table import head, row, spread

FAMILIES = ("dense", "mobile", "small", "deep", "residual", "wide")
TURNS = 3
COUNTS = (4, 8, 16, 32)
SERVER = ("likeness", "group", "search", "stitch", "tune", "match")


def federation(count: int) -> ClubSetup:
    """Return a federation of the digits with so many clients, families in turn."""
    division = Division(count, "iid", public_share=0.12)
    club: Club = open_data(DataSettings("digits", division)).club(0)
    families = tuple(FAMILIES[i % len(FAMILIES)] for i in range(count))
    return ClubSetup(club, families, count, TrainingSettings(1, 16, 3e-3), 0)


def networks(fed: ClubSetup) -> list[ChainNet]:
    """Return every client's network, untrained: what is timed does not depend on weights."""
    return [build(fed.shapes(family), torch.Generator().manual_seed(i)).eval()
            for i, family in enumerate(fed.families)]  # fmt: skip


def cpu_s(action: Callable[[], object]) -> float:
    """Return the processor seconds of an action."""
    start_s = time.process_time()
    action()
    return time.process_time() - start_s


def by_grams(nets: Sequence[ChainNet], images: torch.Tensor) -> np.ndarray:
    """Return all likenesses as the server takes them: each Gram matrix once."""
    return likeness([trace for net in nets for trace in traces(net, images)])


@torch.no_grad()
def pairwise(nets: Sequence[ChainNet], images: torch.Tensor) -> np.ndarray:
    """Return the same pair by pair: each pair makes its Gram matrices anew."""
    sides = []
    for net in nets:
        features = images
        for block in net.blocks:
            gives = block(features)
            sides.append((pooled(features), pooled(gives)))
            features = gives
    found = np.full((len(sides), len(sides)), 2.0)
    for i, j in combinations(range(len(sides)), 2):
        pairs = zip(sides[i], sides[j], strict=True)
        found[i, j] = found[j, i] = sum(cka(one, other) for one, other in pairs)
    return found


def round_s(fed: ClubSetup, method: str) -> dict[str, float]:
    """Return the processor seconds of the server's phases in one round, by phase."""
    log = PhaseLog()
    recorder = CellRecorder("bench", log, lambda _: None)
    work = ClubFederation(fed, 1).open(ClubJob(method, 1), 0, recorder)
    state = dict(work.begin().tensors)
    side = ServerSide(fed, parse(method).rule(), state, tuple(range(len(fed.families))), {}, 0,
                      random_stream(0, "bench"), recorder)  # fmt: skip
    with recorder.phase("aggregate"):
        side.rule.serve(side)
    found = dict.fromkeys(SERVER, 0.0)
    for segment in log.segments:
        if segment.label.phase in found:
            found[segment.label.phase] += segment.cpu_s
    assert under(state, "client.0.model.")
    return found


def report() -> list[str]:
    """Return both tables."""
    torch.set_num_threads(1)
    fed = federation(12)
    nets, images = networks(fed), fed.club.public_images[:200]
    fast, slow = by_grams(nets, images), pairwise(nets, images)
    reached = fast.diagonal() > 0.5  # a dead layer is like nothing, itself included
    off = ~np.eye(len(fast), dtype=bool)
    assert np.abs(fast - slow)[off].max() < 1e-6, "both are the same likeness"
    pairs = [(cpu_s(lambda: by_grams(nets, images)), cpu_s(lambda: pairwise(nets, images)))
             for _ in range(TURNS)]  # fmt: skip
    lines = [
        f"12 clients, {len(fast)} blocks ({int(reached.sum())} alive), {len(images)} images,"
        " one thread, processor seconds",
        "",
        *head("figure", "min", "median", "max", "goal"),
        row("by Gram matrices, s", *spread([a for a, _ in pairs], ".3f"), ""),
        row("pair by pair, s", *spread([b for _, b in pairs], ".3f"), ""),
        row("pair by pair over Gram", *spread([b / a for a, b in pairs], ".1f"), "≥ 10"),
        "",
        "| clients | method | likeness s | group s | search s | stitch s | tune s | match s | sum s"
        " | sum by 4 clients' |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for method in ("pfedclub", "pfedclub:average=yes"):
        lines += _growth(method)
    return lines


def _growth(method: str) -> list[str]:
    lines: list[str] = []
    first = 0.0
    round_s(federation(COUNTS[0]), method)  # the first calls of torch cost more
    for count in COUNTS:
        fed = federation(count)
        best = round_s(fed, method)
        total = sum(best.values())
        first = first or total
        cells = [f"{best[phase]:.3f}" for phase in SERVER]
        lines.append(
            f"| {count} | {method} | {' | '.join(cells)} | {total:.3f} | {total / first:.1f} |"
        )
    return lines
