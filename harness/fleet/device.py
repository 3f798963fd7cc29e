"""Be one device of a fleet: hold its data, its model and its meter between requests."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from devices.accelerator import CPU, GPU, Accelerator
from devices.host import read_state
from harness.config import PATHS, RunConfig, make_config
from harness.core.errors import GpuLostError, HarnessError, RefusedError, UsageError
from harness.core.schema import TRACE
from harness.core.shell_words import own_path
from harness.federated.job import Checkpoint
from harness.federated.trainers import RoundRequest, naming
from harness.fleet.clock import clock_state
from harness.fleet.codec import decode_request, decode_tensors, encode_result, encode_tensors
from harness.fleet.disturbances import Disturbances
from harness.fleet.outbox import Outbox
from harness.fleet.preparation import MOST_WORDS
from harness.fleet.versions import versions
from harness.fleet.wire import Frame
from harness.measurement.cost import Accountant
from harness.measurement.gpu_faults import gpu_errors
from harness.measurement.idle import idle_power_w
from harness.measurement.measuring import MeasuringSession
from harness.measurement.memory import PeakMemory, memory_errors
from harness.measurement.phases import PhaseLog
from harness.measurement.recorder import CellRecorder
from harness.records.phases import Label
from harness.records.step_checks import MOST_LETTERS
from harness.run_folder.results import csv_text
from harness.running.accelerator import describe_accelerator
from harness.running.core_sharing import sharing_cores
from harness.running.gpu_memory import PeakGpuMemory, gpu_allocator
from harness.running.prepare import prepare_torch
from harness.running.target import Target, confine, describe_host, power_model
from harness.workloads.base import Workload
from harness.workloads.on_devices import (
    ChecksSteps,
    CountsLaunches,
    FitsMemory,
    OwnWay,
    Participant,
)
from harness.workloads.registry import DEFAULT, find_workload


@dataclass(frozen=True)
class NodeIdentity:
    """Say which device this is and which clients' data it holds."""

    name: str
    partition: tuple[int, ...]
    cache: str = ""


class Device:
    """Answer the server's requests; a request is one frame, an answer is one frame."""

    def __init__(
        self,
        identity: NodeIdentity,
        target: Target,
        measuring: MeasuringSession,
        outbox: Outbox,
    ) -> None:
        self._identity = identity
        self._target = target
        self._measuring = measuring
        self._measuring.accountant = Accountant(power_model(target), None)
        self._outbox = outbox
        self._participant: Participant | None = None
        self._prepared: Participant | None = None
        self._digest: tuple[str, int | None] = ("", None)
        self._own_way = OwnWay()
        self._workload: Workload | None = None
        self.disturbances = Disturbances(target.accelerator, measuring.processes)
        self._memory = PeakMemory()
        self._gpu_memory = PeakGpuMemory(None)
        self._sharing = ExitStack()
        self.session = uuid.uuid4().hex
        """Names this worker from its start to its end: entries of another one never come again."""
        self.spoiled = False
        """Whether CUDA has failed here: only a new process can use the GPU again."""

    def answer(self, request: Frame) -> Frame:
        """Do what is asked and say what came of it; what goes wrong is an answer too."""
        began_wall_s = time.time()
        header = request.header
        self._acknowledged(header)
        try:
            with memory_errors(), gpu_errors():
                found = self._done(request)
        except HarnessError as error:
            self.spoiled = self.spoiled or isinstance(error, GpuLostError)
            found = _failed(error)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            found = _failed(RefusedError(f"the request cannot be read: {error!r}"))
        return Frame({**found.header, **self._about(header, began_wall_s)}, found.body)

    def _acknowledged(self, header: Mapping[str, Any]) -> None:
        acknowledged = header.get("acknowledged")
        if isinstance(acknowledged, list) and acknowledged[:1] == [self.session]:
            self._outbox.acknowledge(int(acknowledged[1]))

    def _done(self, request: Frame) -> Frame:
        kinds = {"hello": self._hello, "prepare": self._prepare, "train": self._train,
                 "report": self._report}  # fmt: skip
        if request.kind not in kinds:
            raise RefusedError(f"request of unknown kind '{request.kind}'")
        return kinds[request.kind](request)

    def _about(self, header: Mapping[str, Any], began_wall_s: float) -> dict[str, Any]:
        """Return what every answer says: who answers, what it has measured, what time it is."""
        label = header.get("label") or {}
        self._outbox.label(
            Label("", str(label.get("cell", "")), str(label.get("job", "")), label.get("round"))
        )
        return {
            "device": self._identity.name,
            "session": self.session,
            "began_wall_s": began_wall_s,
            "entries": self._outbox.report(self._measuring),
            "no_meter": self._measuring.reason,
            "steps": self._checked_steps(),
            **self._launched(),
            "flags": list(self.disturbances.look(str(label.get("cell", "")))),
            "peak_memory_bytes": self._memory.read_bytes(),
            "peak_gpu_memory_bytes": self._gpu_memory.read_bytes(),
            "temperature_c": read_state(Path("/")).temperature_c,
            "monotonic_s": time.monotonic(),
            "wall_s": time.time(),
        }

    def _hello(self, _request: Frame) -> Frame:
        """Say who this is; nothing here takes long."""
        target = self._target
        return Frame(
            {
                "kind": "card",
                "partition": list(self._identity.partition),
                "profile": target.profile.name,
                "title": target.profile.title,
                "matches": target.matches,
                "host": describe_host(target.host),
                "threads": target.threads,
                "profile_threads": target.profile.training.threads,
                "profile_batch": target.profile.training.batch,
                "meter": self._measuring.describe(),
                "meter_reason": self._measuring.reason,
                "versions": versions(),
                "clock": clock_state(),
                "machine": machine(),
                "accelerator": describe_accelerator(target.accelerator),
            }
        )

    def _prepare(self, request: Frame) -> Frame:
        """Open the data of a run and train a step for nothing, so that round 1 pays no extra."""
        told = request.header["config"]
        workload = find_workload(str(told.get("workload", DEFAULT)))
        config = _own_config(workload, told, self._identity, self._target.accelerator.kind)
        batch = self._batch(request.header)
        if self._prepared is None or self._digest != (config.digest(), batch):
            self._participant, self._prepared, self._workload = None, None, workload
            self._prepared = self._opened(workload, config, batch)
            self._digest = config.digest(), batch
        prepared = self._prepared
        self._outbox.spent(Label("start-up"), time.monotonic())
        return Frame(
            {
                "kind": "prepared",
                "data": prepared.checksum,
                "images": {str(c): prepared.samples(c) for c in self._identity.partition},
                "idle_w": self._idle_w(config.idle_s),
                "own_way": dict(self._own_way.facts),
                "own_words": list(self._own_way.words),
            }
        )

    def _batch(self, header: Mapping[str, Any]) -> int | None:
        """Return the batch of this device's profile if a request says so; None is the run's."""
        return self._target.profile.training.batch if header.get("profile_batch") else None

    def _opened(
        self, workload: Workload, config: RunConfig, batch: int | None = None
    ) -> Participant:
        """Open a run's data; nothing is left of it unless all of it can be done here."""
        target = self._target
        prepare_torch(target.threads, target.accelerator.kind_here)
        prepared = self._participant = workload.participant(config, target)
        self._check_partition(prepared)
        trains = target.accelerator if config.accelerator == GPU else Accelerator()
        self._gpu_memory = PeakGpuMemory(gpu_allocator(trains))
        self._own_way = OwnWay()
        if isinstance(prepared, FitsMemory):
            self._own_way = prepared.fit(self._identity.partition, batch)
        if isinstance(prepared, ChecksSteps):
            prepared.check_steps(self._identity.partition)
        self._measuring.accountant = Accountant(power_model(target), prepared.device_model())
        prepared.warm_up()
        confine(target)
        self._sharing.close()
        self._sharing.enter_context(
            sharing_cores(target.threads, target.accelerator.kind_here, self._measuring.processes)
        )
        return prepared

    def _checked_steps(self) -> list[dict[str, Any]]:
        """Return what came of comparing ways of executing steps with plain fp32 here."""
        found = self._participant
        return [asdict(one) for one in found.step_checks] if isinstance(found, ChecksSteps) else []

    def _launched(self) -> dict[str, Any]:
        """Return how the steps of the run that is prepared were launched, if there are ways."""
        found = self._participant
        if not isinstance(found, CountsLaunches):
            return {}
        return {
            "launches": dict(found.launches),
            "launch_faults": [text[:MOST_LETTERS] for text in found.launch_faults][:MOST_WORDS],
        }

    def _check_step(self, wanted: RoundRequest, client: int) -> None:
        """Compare a way that is new here before it trains; the time is no client's and no cell's.

        Raises:
            StepRefusedError: if it computes something else here.
        """
        if not isinstance(self._prepared, ChecksSteps):
            return
        before = len(self._prepared.step_checks)
        self._outbox.spent(Label("communicate"), time.monotonic())
        try:
            self._prepared.check_steps([client], wanted)
        finally:
            if len(self._prepared.step_checks) > before:
                self._outbox.spent(Label("start-up"), time.monotonic())

    def _report(self, request: Frame) -> Frame:
        """Hand over the samples since a moment of this worker's clock; its cell is over then."""
        self.disturbances.end()
        since_s = request.header.get("since_s")
        if not isinstance(since_s, float):
            return Frame({"kind": "reported"})
        rows = self._measuring.trace(since_s, time.monotonic(), 0.0)
        return Frame({"kind": "reported"}, csv_text(TRACE, rows).encode() if rows else b"")

    def _idle_w(self, seconds: float) -> float | None:
        """Return the power of this device while it does nothing; None if it was not measured."""
        before = len(self._measuring.log.segments)
        reading = self._measuring.rest(seconds)
        for segment in self._measuring.log.segments[before:]:
            self._outbox.add(segment)
        return idle_power_w(reading)

    def _check_partition(self, prepared: Participant) -> None:
        wrong = [c for c in self._identity.partition if c >= prepared.clients]
        if wrong:
            raise UsageError(
                f"{self._identity.name}: the data have clients 0 to {prepared.clients - 1},"
                f" not {', '.join(map(str, wrong))}",
                "Start the node with another --partition.",
            )

    def _train(self, request: Frame) -> Frame:
        """Train one client's copy of the model."""
        if self._prepared is None or self._workload is None:
            raise RefusedError("there is no run prepared on this device", "Prepare it first.")
        header, wire = request.header, self._workload.wire
        client = int(header["client"])
        if client not in self._identity.partition:
            raise RefusedError(f"{self._identity.name} does not hold the data of client {client}")
        wanted = decode_request(header["request"], client, wire)
        if (batch := self._batch(header)) is not None:
            wanted = replace(wanted, settings=wire.with_batch(wanted.settings, batch))
        self._check_step(wanted, client)
        label = header.get("label") or {}
        self.disturbances.begin(str(label.get("cell", "")))
        recorder = _RequestRecorder(str(label.get("cell", "")), self._measuring.log, wanted.job)
        work = self._prepared.work(wanted, recorder)
        weights = Checkpoint(decode_tensors(request.body, work.received(client)))
        self._memory.reset()
        self._gpu_memory.reset()
        self._outbox.spent(Label("communicate"), time.monotonic())
        before = len(self._measuring.log.segments)
        try:
            with (
                naming(wanted.where(client)),
                recorder.phase("train", round_index=wanted.round_index, client=client),
            ):
                update = work.train(weights, wanted, client, wanted.order(client))
        finally:
            for segment in self._measuring.log.segments[before:]:
                self._outbox.add(segment, str(header.get("attempt", "")))
        return Frame(
            {"kind": "update", "client": client, **encode_result(update, wire)},
            encode_tensors(update.tensors),
        )


class _RequestRecorder(CellRecorder):
    """Mark the phases of one request."""

    def __init__(self, cell: str, log: PhaseLog, job: str) -> None:
        super().__init__(cell, log, lambda _: None)
        self._job = job


def _failed(error: HarnessError) -> Frame:
    return Frame(
        {"kind": "failed", "code": error.code, "message": error.message, "remedy": error.remedy}
    )


def _own_config(
    workload: Workload, told: Mapping[str, Any], identity: NodeIdentity, accelerator: str
) -> RunConfig:
    """Return the run's configuration with this device's folder of data in place of the server's."""
    known = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
    known |= {k: own_path(known[k]) for k in PATHS if k in known}
    own = {"cache": identity.cache, "meter": "none", "device": "auto", "threads": 0,
           "accelerator": accelerator if workload.config_class().gpu_trains else CPU}  # fmt: skip
    return make_config(workload.config_class(), {**known, **own})


def machine(root: Path = Path("/")) -> str:
    """Return a word that names this machine and tells nothing of it; empty if it has no name."""
    try:
        text = (root / "etc/machine-id").read_text().strip()
    except OSError:
        return ""
    return hashlib.sha256(f"fleet/{text}".encode()).hexdigest()[:12] if text else ""
