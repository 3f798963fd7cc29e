"""Be the workload of personalised models for one run: settle, open, train, report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from devices.time_model import HostTiming
from harness.core.errors import DataError, HarnessError, UsageError, raise_all
from harness.federated.engine import RoundsEngine
from harness.federated.keeping import Keeper
from harness.federated.observer import Observer, SilentObserver
from harness.federated.random_streams import random_stream
from harness.federated.trainers import Trainers
from harness.measurement.cost import DeviceModel
from harness.records.cells import CellReport, CellResult
from harness.running.prepare import prepare_torch
from harness.running.target import Target, power_model
from harness.workloads.base import DataScreen, Expectation, PlanScreen
from harness.workloads.personalized.config import ClubConfig
from harness.workloads.personalized.data.clubs import Club, Data, DataSettings, open_data
from harness.workloads.personalized.data.split import Division
from harness.workloads.personalized.federation import ClubSetup, TrainingSettings
from harness.workloads.personalized.job import ClubCodec, ClubJob, ClubOutcome
from harness.workloads.personalized.methods.registry import ClubMethod
from harness.workloads.personalized.planning import (
    Bill,
    host_seconds,
    memory_problems,
    planned_work,
    recorded_timing,
    shape_problems,
    time_host,
)
from harness.workloads.personalized.report import cell_report
from harness.workloads.personalized.rounds import ClientWorkshop, ClubFederation
from harness.workloads.personalized.server.likeness import LEAST_IMAGES

CELL_BYTES = 1_500_000.0
"""Of a cell: networks, traces and the checkpoints of a round; measured with 12 clients."""


def settings_of(config: ClubConfig) -> DataSettings:
    """Return which data a configuration asks for."""
    division = Division(
        config.clients, config.split, config.concentration, config.classes_each,
        public_share=config.public_share,
    )  # fmt: skip
    return DataSettings(
        config.data, division, config.data_seed, not config.no_public_labels, config.style,
        config.images or None,
    )  # fmt: skip


def federation_of(config: ClubConfig, club: Club, seed: int) -> ClubSetup:
    """Return what all jobs of a cell share."""
    training = TrainingSettings(config.epochs, config.batch_size, config.learning_rate)
    return ClubSetup(club, config.client_families(), config.clients_per_round, training, seed)


def checked(config: ClubConfig, data: Data) -> Data:
    """Return the data if every method can be trained on every seed's.

    Raises:
        HarnessError: naming what does not fit: public images, labels, shapes, memory.
    """
    club = data.club(config.seeds[0])
    problems = [*_public_problems(config, club)]
    families = {*config.client_families()}
    problems += shape_problems(sorted(families), club)
    if not problems:
        problems += memory_problems(config, club)
    if not club.counted:
        problems.append(DataError(
            "no client has test images and two classes, so no accuracy says anything",
            "Take fewer --clients, more --images or another --split.",
        ))  # fmt: skip
    raise_all(problems)
    return data


def _public_problems(config: ClubConfig, club: Club) -> list[HarnessError]:
    found: list[HarnessError] = []
    for spec in config.method_specs():
        rule = spec.rule()
        uses = rule.public or rule.server_public
        least = LEAST_IMAGES if rule.compares_blocks else 1
        if uses and len(club) < least:
            found.append(UsageError(
                f"{spec.text} needs at least {least} public images, there are {len(club)}",
                "Raise --public-share or --images: with fewer, likeness of blocks is noise.",
            ))  # fmt: skip
        if rule.labels and club.public_labels is None:
            found.append(UsageError(
                f"{spec.text} needs labels of public images, and these have none",
                "Leave it out, or give it labels=no where it has that.",
            ))  # fmt: skip
    return found


@dataclass(frozen=True)
class ClubStudy:
    """Implement `Draft`, `OpenedData`, `Study` and `Participant`."""

    config: ClubConfig
    target: Target
    data: Data
    timing: HostTiming
    codec: ClubCodec = field(default_factory=ClubCodec)

    def club(self, seed: int) -> Club:
        """Return the data of a seed."""
        return self.data.club(seed)

    def federation(self, seed: int) -> ClubSetup:
        """Return the federation of a seed."""
        return federation_of(self.config, self.club(seed), seed)

    def expected(self) -> Expectation:
        """Return what the run is expected to take."""
        work = planned_work(self.config, self.club(self.config.seeds[0]))
        seconds, device = host_seconds(self.timing, work), self.device_model()
        power = power_model(self.target)
        joules = (
            power.energy_on_host_j(seconds, seconds * self.target.threads)
            if device is None
            else power.energy_elsewhere_j(device.time_s(work))
        )
        cells = len(self.config.methods) * len(self.config.seeds) * self.config.repeats
        return Expectation(seconds, joules, 0.0, CELL_BYTES * cells * self.config.clients / 12)

    def open(self, screen: DataScreen) -> ClubStudy:  # noqa: ARG002 - nothing is made
        """Return itself."""
        return self

    def facts(self) -> Mapping[str, Any]:
        """Return what a run is recognised by."""
        return {"data": self.checksum, "torch": str(torch.__version__)}

    @property
    def checksum(self) -> str:
        """Return what tells these data from others."""
        return self.data.checksum

    @property
    def clients(self) -> int:
        """Return how many clients there are."""
        return self.config.clients

    def samples(self, client: int) -> int:
        """Return the training images of a client, in the first seed."""
        return len(self.club(self.config.seeds[0]).clients[client].train_labels)

    def study(self, manifest: Mapping[str, Any]) -> ClubStudy:
        """Return itself, with the timing of the run that goes on."""
        return replace(self, timing=recorded_timing(manifest) or self.timing)

    def asked_config(self) -> ClubConfig:
        """Return the configuration, which nothing changes."""
        return self.config

    @property
    def threads(self) -> int:
        """Return the threads of training."""
        return self.target.threads

    def device_model(self) -> DeviceModel | None:
        """Return the time model of the device answered for; None if this is it."""
        if self.target.matches:
            return None
        return Bill.of(self.target.profile, self.timing).time

    def bill(self, client: int) -> Bill | None:
        """Return what models the device that a client stands for; None if it stands for none."""
        profile = self.config.client_profiles()[client]
        if profile is not None:
            return Bill.of(profile, self.timing)
        return None if self.target.matches else Bill.of(self.target.profile, self.timing)

    def describe(self) -> Mapping[str, Any]:
        """Return timing, data and families for the manifest."""
        club = self.club(self.config.seeds[0])
        return {
            "calibration": {"forward_s": dict(self.timing.forward_s)},
            "host_timing": asdict(self.timing),
            "data": {
                "name": self.data.source.name, "checksum": self.checksum,
                "clients": self.config.clients, "classes": club.classes,
                "shape": list(club.shape), "public_images": len(club),
                "public_labels": club.public_labels is not None, "note": self.data.source.note,
            },
            "families": list(self.config.client_families()),
        }  # fmt: skip

    def warm_up(self) -> None:
        """Train one client of each family for a step, as torch's first calls cost more."""
        fed = self.federation(self.config.seeds[0])
        short = replace(fed, training=replace(fed.training, epochs=1), per_round=fed.per_round)
        work = ClubFederation(short, 1).open(ClubJob("local", 1), short.seed, SilentObserver())
        state = work.begin()
        request = work.request(0, state)
        kinds = dict(zip(fed.families, range(self.clients), strict=True)).values()
        for client in kinds:
            work.train(work.sent(state, client), request, client, random_stream(0, "warm-up"))

    def engine(
        self, seed: int, observer: Observer, keeper: Keeper, trainers: Trainers | None
    ) -> RoundsEngine:
        """Return the engine of a cell."""
        task = ClubFederation(self.federation(seed), self.config.evaluate_every)
        return RoundsEngine(task, seed, observer, keeper, trainers)

    def carry_out(self, spec: ClubMethod, seed: int, engine: Any) -> ClubOutcome:  # noqa: ANN401, ARG002
        """Run the one job of a method."""
        outcome: ClubOutcome = engine.run(ClubJob(spec.text, self.config.rounds))
        return outcome

    def report(self, result: CellResult) -> CellReport:
        """Return what a cell came to."""
        return cell_report(self, result)

    def gains(
        self,
        own: Mapping[str, Any],  # noqa: ARG002
        reference: Mapping[str, Any],  # noqa: ARG002
    ) -> Mapping[str, float | None]:
        """Return no column: accuracies are compared seed by seed in the report."""
        return {}

    def library(self) -> None:
        """Share no jobs."""

    def work(self, request: Any, observer: Observer) -> ClubDeviceWork:  # noqa: ANN401
        """Return what trains clients of a request on a device."""
        from harness.workloads.personalized.methods.registry import parse  # noqa: PLC0415 - light

        rule = parse(request.settings.method).rule()
        return ClubDeviceWork(
            ClientWorkshop(self.federation(request.seed), rule, observer), request
        )


@dataclass(frozen=True)
class ClubDeviceWork:
    """Train clients on a device; implements `harness.workloads.base.ClientWork`."""

    workshop: ClientWorkshop
    request: Any

    def received(self, client: int) -> Mapping[str, torch.Tensor]:
        """Return tensors like those that a client is sent, as the request says."""
        from harness.workloads.personalized.rounds import received  # noqa: PLC0415

        return received(self.request.settings, client)

    def train(self, weights: Any, request: Any, client: int, order: Any) -> Any:  # noqa: ANN401
        """Train one client from what it was sent."""
        return self.workshop.train(weights.tensors, request.settings, client, order)


def draft(
    config: ClubConfig, target: Target, manifest: Mapping[str, Any], screen: PlanScreen | None
) -> ClubStudy:
    """Open the data, check that every method can be trained on them, and time this host."""
    prepare_torch(target.threads)
    data = checked(config, open_data(settings_of(config)))
    club = data.club(config.seeds[0])
    timing = recorded_timing(manifest) or time_host(club.shape, club.classes, config.batch_size)
    if screen is not None:
        for title, text in notes(config, data, club):
            screen.say(title, text)
    return ClubStudy(config, target, data, timing)


def notes(config: ClubConfig, data: Data, club: Club) -> list[tuple[str, str]]:
    """Return what people should know of the data before a run."""
    found = []
    if data.source.note:
        found.append(("Data", data.source.note))
    for client, own in enumerate(club.clients):
        if own.why_not_counted:
            text = f"client {client} {own.why_not_counted}: its accuracy is in no mean"
            found.append(("Note", text))
    if config.clients_per_round == 1 and any(s.rule().compares_blocks
                                             for s in config.method_specs()):  # fmt: skip
        found.append(("Note", "one client a round has no other's blocks: methods with teachers"
                              " train it alone"))  # fmt: skip
    return found
