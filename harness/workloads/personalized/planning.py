"""Foretell what a run takes: seconds here, seconds and joules of other devices, memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import torch
from torch.nn import functional

from devices.power_model import PowerModel
from devices.profile import Profile
from devices.time_model import HostTiming, TimeModel
from harness.core.errors import HarnessError, UsageError
from harness.measurement.cost import DeviceModel
from harness.records.work import Work
from harness.workloads.personalized.config import ClubConfig
from harness.workloads.personalized.data.clubs import Club
from harness.workloads.personalized.methods.registry import TAUGHT, ClubMethod
from harness.workloads.personalized.work import TRAINING, arithmetic
from models.personalized.blocks import build
from models.personalized.families import FAMILIES, shapes, training_bytes
from models.personalized.shapes import Shape

PROGRAM_BYTES = 280 << 20
"""What the program holds beside its networks: measured resident size of torch and the harness."""

TURNS = 7
COPIED_BYTES = 32 << 20
SQUARE = 512
"""Side of the matrices that the processor's arithmetic is timed with."""

RESOLUTION_S = 1e-9

Clock = Callable[[], float]


def time_host(
    image: Shape, classes: int, batch: int, clock: Clock = time.perf_counter
) -> HostTiming:
    """Time a training step of every family and the arithmetic and memory of this host.

    Of a step's seconds arithmetic has the share that its multiplications take at the rate of a
    large product of matrices; all else, mostly calls of small layers, is not arithmetic.
    """
    rate = _arithmetic_rate(clock)
    forward_s, share = {}, {}
    for name in FAMILIES:
        step_s = _step_s(name, image, classes, batch, clock)
        forward_s[name] = step_s / TRAINING / batch
        pure_s = TRAINING * batch * arithmetic(name, image, classes) / rate
        share[name] = min(1.0, pure_s / max(step_s, RESOLUTION_S))
    return HostTiming(forward_s, share, rate, _copy_rate(clock))


def _step_s(name: str, image: Shape, classes: int, batch: int, clock: Clock) -> float:
    random = torch.Generator().manual_seed(0)
    net = build(shapes(name, image, classes), random)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    images = torch.rand(batch, *image, generator=random)
    labels = torch.randint(classes, (batch,), generator=random)
    found = []
    for _ in range(TURNS):
        start_s = clock()
        loss = functional.cross_entropy(net(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found.append(clock() - start_s)
    return max(min(found), RESOLUTION_S)


def _arithmetic_rate(clock: Clock) -> float:
    one = torch.rand(SQUARE, SQUARE, generator=torch.Generator().manual_seed(0))
    return 2.0 * SQUARE**3 / _fastest_s(lambda: one @ one, clock)


def _copy_rate(clock: Clock) -> float:
    source = torch.ones(COPIED_BYTES // 4)
    target = torch.zeros_like(source)
    return 2.0 * COPIED_BYTES / _fastest_s(lambda: target.copy_(source), clock)


def _fastest_s(action: Callable[[], object], clock: Clock) -> float:
    found = []
    for _ in range(TURNS):
        start_s = clock()
        action()
        found.append(clock() - start_s)
    return max(min(found), RESOLUTION_S)


def recorded_timing(manifest: Mapping[str, Any]) -> HostTiming | None:
    """Return what the manifest of a run that goes on tells of; None if it tells of none."""
    told = manifest.get("host_timing")
    try:
        return HostTiming(
            {str(k): float(v) for k, v in told["forward_s"].items()},  # type: ignore[index]
            {str(k): float(v) for k, v in told["arithmetic"].items()},  # type: ignore[index]
            float(told["flop_per_s"]), float(told["memory_bytes_per_s"]),  # type: ignore[index]
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True)
class Bill:
    """Model what work takes on another device: seconds and joules."""

    time: DeviceModel
    power: PowerModel

    @classmethod
    def of(cls, profile: Profile, host: HostTiming) -> Bill:
        """Take the figures of a profile."""
        model = DeviceModel(TimeModel.from_profile(profile), host)
        return cls(model, PowerModel.from_profile(profile))

    def of_work(self, work: Work) -> tuple[float, float]:
        """Return seconds and joules."""
        seconds = self.time.time_s(work)
        return seconds, self.power.energy_elsewhere_j(seconds)


def planned_work(config: ClubConfig, club: Club) -> Work:
    """Return the forward passes that the whole run will take, roughly for the server's search."""
    seeds = len(config.seeds) * config.repeats
    per_seed = (_of_method(spec, config, club) for spec in config.method_specs())
    total: Work = reduce(add, per_seed, Work())
    return Work({part: n * seeds for part, n in total.forwards.items()},
                bytes_moved=total.bytes_moved * seeds)  # fmt: skip


def _of_method(spec: ClubMethod, config: ClubConfig, club: Club) -> Work:
    families = config.client_families()
    share = config.clients_per_round / config.clients
    rounds = config.rounds * share
    found = Work()
    for family, own in zip(families, club.clients, strict=True):
        images = rounds * config.epochs * len(own.train_labels)
        if spec.rule().public:
            images += rounds * len(club)
        if spec.name == "local+public":
            images += rounds * config.epochs * len(club)
        tests = 2.0 * config.rounds / config.evaluate_every * len(own.test_labels)
        found += Work({family: TRAINING * images + tests})
        if spec.name in TAUGHT:
            found += Work({family: rounds * _server_passes(spec, club)})
    return found


def _server_passes(spec: ClubMethod, club: Club) -> float:
    """Return forward passes of a family's size that a client's search takes."""
    given = spec.parameters()
    views = 1.0 if given["labels"] else 2.0
    tuned = TRAINING * views * int(given["tune"])
    return len(club) * (2.0 + int(given["candidates"]) * (tuned + 2.0))


def host_seconds(host: HostTiming, work: Work) -> float:
    """Return the seconds of counted work at the speed that was timed here."""
    passes = math.fsum(n * host.forward_s[part] for part, n in work.forwards.items())
    return passes + work.bytes_moved / host.memory_bytes_per_s


def client_bytes(family: str, club: Club, batch: int) -> int:
    """Return what training a family's network holds at least, teacher and program included."""
    own = training_bytes(family, club.shape, club.classes, batch)
    teacher = 4 * sum(s.parameters for s in shapes(family, club.shape, club.classes))
    return PROGRAM_BYTES + own + teacher


def memory_problems(config: ClubConfig, club: Club) -> list[HarnessError]:
    """Return the families that do not fit the memory of the devices they are for."""
    found: list[HarnessError] = []
    pairs = zip(config.client_families(), config.client_profiles(), strict=True)
    named = {(f, p.name): p for f, p in pairs if p is not None}
    for (family, _), profile in named.items():
        needed = client_bytes(family, club, config.batch_size)
        if needed > profile.memory_bytes:
            found.append(UsageError(
                f"family {family} needs at least {needed >> 20} MB to train on images of"
                f" {'×'.join(map(str, club.shape))}, a {profile.title} has"
                f" {profile.memory_bytes >> 20} MB",
                "Take a smaller family or batch, or --families by-device.",
            ))  # fmt: skip
    return found


def shape_problems(families: Iterable[str], club: Club) -> list[HarnessError]:
    """Return the families that cannot take images of this size."""
    size = "×".join(map(str, club.shape))
    reasons = {family: _shape_problem(family, club) for family in dict.fromkeys(families)}
    return [
        UsageError(
            f"family {family}: images of {size}: {reason}", "Take larger images or another family."
        )
        for family, reason in reasons.items()
        if reason
    ]


def _shape_problem(family: str, club: Club) -> str:
    try:
        shapes(family, club.shape, club.classes)
    except ValueError as error:
        return str(error)
    return ""
