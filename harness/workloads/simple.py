"""Give a workload that settles nothing, and trains in rounds, its usual answers.

`SimpleWorkload` offers methods without parameters; `SimpleStudy` is draft, data, study and device
of a fleet in one. A workload replaces whatever is different with it, or stands on none of this:
the interface is `harness.workloads.base`. Nothing heavy is imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from harness.core.errors import RefusedError, UsageError, unknown
from harness.records.cells import CellReport, CellResult
from harness.records.listing import Item

if TYPE_CHECKING:
    from pathlib import Path

    from harness.config import RunConfig
    from harness.core.schema import Column
    from harness.evidence.findings import Finding
    from harness.evidence.reading import RunFiles
    from harness.federated.engine import RoundsEngine
    from harness.federated.job import Traffic
    from harness.federated.keeping import Keeper
    from harness.federated.observer import Observer
    from harness.federated.simple import SimpleRounds
    from harness.federated.trainers import RoundRequest, Trainers
    from harness.running.target import Target
    from harness.workloads.base import DataScreen, Objective, PlanScreen, Settling

Own = TypeVar("Own", bound="SimpleStudy")


@dataclass(frozen=True)
class SimpleMethod:
    """Be a method without parameters."""

    text: str

    @property
    def name(self) -> str:
        """Return the text."""
        return self.text

    @property
    def slug(self) -> str:
        """Return the text."""
        return self.text


class SimpleCodec:
    """Keep jobs that are dataclasses of plain values, whose clients measure nothing beside."""

    @staticmethod
    def job(job: Any) -> Mapping[str, Any]:  # noqa: ANN401 - a dataclass
        """Return its fields."""
        return asdict(job)

    @staticmethod
    def measured(found: Any) -> Any:  # noqa: ANN401
        """Return it as it is."""
        return found

    read_measured = measured


class SimpleWire:
    """Carry settings that are numbers by name, and nothing that clients measure."""

    @staticmethod
    def settings(settings: Mapping[str, float]) -> dict[str, float]:
        """Return them as they are."""
        return dict(settings)

    @staticmethod
    def read_settings(plain: Any) -> dict[str, float]:  # noqa: ANN401
        """Return numbers by name.

        Raises:
            ValueError: if they are anything else.
        """
        if not isinstance(plain, dict) or not all(
            type(value) in (int, float) and math.isfinite(value) for value in plain.values()
        ):
            raise ValueError("settings are numbers by name")
        return {str(name): float(value) for name, value in plain.items()}

    @staticmethod
    def with_batch(settings: Any, batch_size: int) -> Any:  # noqa: ANN401, ARG004
        """Refuse.

        Raises:
            UsageError: always: there are no batches.
        """
        raise UsageError("this workload trains without batches", "Leave out --batch-from-profile.")

    @staticmethod
    def measured(found: Any) -> Any:  # noqa: ANN401
        """Return it as it is."""
        return found

    @staticmethod
    def read_measured(plain: Any, request: RoundRequest, client: int) -> None:  # noqa: ANN401, ARG004
        """Return nothing.

        Raises:
            RefusedError: if there is something.
        """
        if plain is not None:
            raise RefusedError("nothing was to be measured beside the training")


@dataclass(frozen=True)
class SimpleStudy:
    """Implement `Draft`, `OpenedData`, `Study`, and `Participant` of `on_devices`.

    Left to a workload: `expected`, `facts`, `rounds`, `carry_out` and `finished`. Its configuration
    has `rounds` and `clients`.
    """

    config: Any
    target: Target

    codec: ClassVar[Any] = SimpleCodec()

    def facts(self) -> Mapping[str, Any]:
        """Return what a run is recognised by; `data` is what tells the data from others."""
        raise NotImplementedError

    def rounds(self) -> SimpleRounds:
        """Return what opens jobs."""
        raise NotImplementedError

    def finished(self, result: CellResult, columns: Mapping[str, object]) -> CellReport:
        """Return what a cell that is done came to; `columns` are what all cells have."""
        raise NotImplementedError

    def open(self: Own, screen: DataScreen) -> Own:  # noqa: ARG002 - nothing is made
        """Return itself."""
        return self

    def study(self: Own, manifest: Mapping[str, Any]) -> Own:  # noqa: ARG002 - nothing is settled
        """Return itself."""
        return self

    @property
    def clients(self) -> int:
        """Return those of the configuration."""
        return int(self.config.clients)

    @property
    def threads(self) -> int:
        """Return those of the target."""
        return self.target.threads

    @property
    def checksum(self) -> str:
        """Return the fact `data`."""
        return str(self.facts()["data"])

    def samples(self, client: int) -> int:
        """Return the client's weight in the average."""
        return int(self.rounds().weight(client))  # type: ignore[attr-defined]

    def asked_config(self) -> RunConfig:
        """Return the configuration, which nothing changes."""
        config: RunConfig = self.config
        return config

    def device_model(self) -> None:
        """Know no other device."""

    def describe(self) -> Mapping[str, Any]:
        """Return what is known of the data."""
        return {"data": {"name": self.config.workload, "checksum": self.checksum}}

    def warm_up(self) -> None:
        """Do nothing."""

    def engine(
        self, seed: int, observer: Observer, keeper: Keeper, trainers: Trainers | None
    ) -> RoundsEngine:
        """Return the engine of rounds."""
        from harness.federated.engine import RoundsEngine  # noqa: PLC0415 - imports numpy

        return RoundsEngine(self.rounds(), seed, observer, keeper, trainers)  # type: ignore[arg-type]

    def work(self, request: RoundRequest, observer: Observer) -> Any:  # noqa: ANN401
        """Return what trains clients on a device."""
        return self.rounds().open(None, request.seed, observer)

    def report(self, result: CellResult) -> CellReport:
        """Return what a cell came to; nothing of one that is not done."""
        if result.status != "done":
            return CellReport()
        config = self.config
        traffic: Traffic = reduce(add, (done.traffic for done in result.trained))
        columns = {
            "rounds": config.rounds,
            "clients": config.clients,
            "clients_per_round": config.clients,
            **asdict(traffic),
        }
        return self.finished(result, columns)

    def gains(
        self,
        own: Mapping[str, Any],  # noqa: ARG002
        reference: Mapping[str, Any],  # noqa: ARG002
    ) -> Mapping[str, float | None]:
        """Compare nothing."""
        return {}

    def library(self) -> None:
        """Share no jobs."""


class SimpleWorkload:
    """Implement `Workload`, of methods that are names.

    Left to a workload are the attributes.
    """

    name: str
    title: str
    objective: Objective
    reference: str
    files: ClassVar[Mapping[str, Sequence[Column]]] = {}
    methods: Mapping[str, str]
    """What each method is, in a few words."""
    options: type[RunConfig]
    """The class of its configurations."""
    study: type[SimpleStudy]
    wire = SimpleWire()

    def config_class(self) -> type[RunConfig]:
        """Return the class of its configurations."""
        return self.options

    def listing(self, kind: str, cache: str) -> Iterable[Item]:  # noqa: ARG002
        """Return the methods."""
        if kind != "methods":
            return []
        return [Item(name, True, words) for name, words in self.methods.items()]

    def legend(self, kind: str) -> str:  # noqa: ARG002
        """Return nothing."""
        return ""

    def parse(self, text: str) -> SimpleMethod:
        """Read one method as typed.

        Raises:
            UsageError: naming the nearest right one.
        """
        if text not in self.methods:
            raise unknown("method", text, self.methods)
        return SimpleMethod(text)

    def plan_lines(self, config: Any) -> Sequence[tuple[str, str]]:  # noqa: ANN401
        """Say how many clients train for how many rounds."""
        return [("Train", f"{config.rounds} rounds of {config.clients} clients")]

    def progress_steps(self, config: Any, spec: Any, seed: int) -> int:  # noqa: ANN401, ARG002
        """Return the rounds."""
        return int(config.rounds)

    def columns_page(self) -> str:
        """Return nothing."""
        return ""

    def findings(self, run: RunFiles) -> Iterable[Finding]:  # noqa: ARG002
        """Return nothing: no run of it has files of its own."""
        return ()

    def contradictions(self, run: RunFiles) -> Iterable[tuple[str, str, str]]:  # noqa: ARG002
        """Return nothing."""
        return ()

    def owns_cache(self, folder: Path) -> bool:  # noqa: ARG002
        """Own none: data are made in memory."""
        return False

    def for_fleet(self, config: RunConfig) -> RunConfig:
        """Return it: devices can follow every option."""
        return config

    def draft(
        self,
        config: RunConfig,
        target: Target,
        manifest: Mapping[str, Any],  # noqa: ARG002
        settling: Settling,  # noqa: ARG002
        screen: PlanScreen,  # noqa: ARG002
    ) -> SimpleStudy:
        """Return the study, with nothing to settle."""
        return self.study(config, target)

    def participant(self, config: RunConfig, target: Target) -> SimpleStudy:
        """Return what a device of a fleet holds: the same as a host that trains alone."""
        return self.study(config, target)
