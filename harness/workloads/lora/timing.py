"""Time training steps of the run's own model once, for its estimate and for another device."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

import torch

from devices.time_model import HostTiming, TimeModel
from harness.federated.observer import SilentObserver
from harness.federated.random_streams import random_stream
from harness.measurement.cost import DeviceModel
from harness.running.target import Target
from harness.workloads.lora.aggregation.adapters import fresh, largest_rank
from harness.workloads.lora.base.tunable import TunableModel
from harness.workloads.lora.data.corpus import Corpus
from harness.workloads.lora.data.rows import collate
from harness.workloads.lora.precision_check import bf16_figures
from harness.workloads.lora.rules import Fitting
from harness.workloads.lora.training import TOKENS, LocalTraining, train_rows

STEPS = 5
COPIED_NUMBERS = 8 << 20
SIDE = 512
"""Of the matrix product that the host's rate of arithmetic is taken from."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class StepTiming:
    """Hold what a token takes on this host, and what another device is modelled by.

    Attributes:
        token_s: seconds of a forward pass of one token: half of an adapter's training step.
        precision: of products, as settled.
        host: rates of the host.
        agreement: of bf16 with fp32 on a real batch, and of which PyTorch; empty where it was not
            in question.
    """

    token_s: float
    precision: str
    host: HostTiming
    agreement: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fault(self) -> str:
        """Return in what bf16 computes something else here; empty if in nothing."""
        return str(self.agreement.get("fault", ""))

    def as_dict(self) -> dict[str, Any]:
        """Return it for the manifest."""
        return {
            "token_s": self.token_s,
            "precision": self.precision,
            "host_timing": asdict(self.host),
            "agreement": dict(self.agreement) or None,
        }


def recorded(manifest: Mapping[str, Any]) -> StepTiming | None:
    """Return what a manifest tells; None if it tells nothing of the kind."""
    try:
        told = manifest["token_timing"]
        host = told["host_timing"]
        rates = float(host["flop_per_s"]), float(host["memory_bytes_per_s"])
        forward = {str(k): float(v) for k, v in host["forward_s"].items()}
        shares = {str(k): float(v) for k, v in host["arithmetic"].items()}
        return StepTiming(
            float(told["token_s"]), str(told["precision"]), HostTiming(forward, shares, *rates),
            dict(told.get("agreement") or {}),
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def take(
    model: TunableModel,
    corpus: Corpus,
    training: LocalTraining,
    rank: int,
    clock: Clock = time.perf_counter,
) -> StepTiming:
    """Return what a token takes; of `auto` the precision that is faster here by a twentieth.

    bf16 is compared with fp32 before it is taken.
    """
    rank = min(rank, largest_rank(model.shapes))
    asked = training.precision
    if asked != "auto":
        seconds = _token_s(model, corpus, training, rank, clock)
        told = _agreement(model, corpus, training, rank) if asked == "bf16" else {}
        return StepTiming(seconds, asked, _host(model, seconds, clock), told)
    found = {
        precision: _token_s(model, corpus, replace(training, precision=precision), rank, clock)
        for precision in ("fp32", "bf16")
    }
    faster = found["bf16"] < 0.95 * found["fp32"]
    told = _agreement(model, corpus, training, rank) if faster else {}
    chosen = "bf16" if faster and not told["fault"] else "fp32"
    return StepTiming(found[chosen], chosen, _host(model, found[chosen], clock), told)


def _agreement(
    model: TunableModel, corpus: Corpus, training: LocalTraining, rank: int
) -> dict[str, Any]:
    release = {"torch": str(torch.__version__)}
    return release | bf16_figures(model, corpus, training, rank)


def _token_s(
    model: TunableModel, corpus: Corpus, training: LocalTraining, rank: int, clock: Clock
) -> float:
    client = max(corpus.clients, key=lambda c: len(c.train))
    rows = list(client.train[: training.batch_size])
    tokens = collate(rows, corpus.pad).inputs.numel()
    one = replace(training, steps=1, epochs=1, trained="both", pruning=None)
    begun = fresh(model.shapes, rank, random_stream(0, "timing"))
    seconds = []
    for step in range(STEPS):
        model.fit(Fitting(worn=begun))
        start = clock()
        train_rows(model, rows, corpus.pad, one, random_stream(step, "timing"), SilentObserver())
        seconds.append(clock() - start)
    return median(seconds[1:]) / tokens / 2.0


def _host(model: TunableModel, token_s: float, clock: Clock) -> HostTiming:
    left, right = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    product_s = _best(lambda: torch.mm(left, right), clock)
    flop_per_s = 2.0 * SIDE**3 / product_s
    numbers = torch.rand(COPIED_NUMBERS)
    into = torch.empty_like(numbers)
    bytes_per_s = 2.0 * 4.0 * COPIED_NUMBERS / _best(lambda: into.copy_(numbers), clock)
    arithmetic = min(1.0, 2.0 * model.base_parameters / flop_per_s / token_s)
    return HostTiming({TOKENS: token_s}, {TOKENS: arithmetic}, flop_per_s, bytes_per_s)


def _best(action: Callable[[], object], clock: Clock) -> float:
    taken = []
    for _ in range(5):
        start = clock()
        action()
        taken.append(max(1e-9, clock() - start))
    return min(taken)


def device_model(target: Target, timing: StepTiming) -> DeviceModel | None:
    """Return the time model of a device that is not the host; None if it is."""
    if target.matches:
        return None
    return DeviceModel(TimeModel.from_profile(target.profile), timing.host)


def planned_tokens(
    corpus: Corpus, methods: Sequence[str], training: LocalTraining, rounds: int, per_round: int
) -> float:
    """Return the expected forward-equivalents of all training, in tokens."""
    lengths = [row.length for client in corpus.clients for row in client.train]
    mean = sum(lengths) / len(lengths)
    share = per_round / len(corpus.clients)
    found = 0.0
    for method in methods:
        everyone = 1.0 if method == "central" else share
        rows = len(lengths) * training.epochs * everyone
        if training.steps:
            rows = min(rows, training.steps * training.batch_size * per_round)
        found += rows * rounds * mean * (3.0 if method == "full" else 2.0)
    return found
