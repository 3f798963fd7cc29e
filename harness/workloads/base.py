"""Define what run, fleet, evidence and analysis know of a workload, and nothing else of it.

A `Workload` is one object per kind of thing that can be trained; a `Draft` is what it makes of one
configuration on one host, before data are opened; a `Study` is that draft with its data at hand,
ready to train cells. Names of columns, phases and files are the core's; what stands in them is the
workload's to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    from harness.config import RunConfig
    from harness.core.schema import Column
    from harness.evidence.findings import Finding
    from harness.evidence.reading import RunFiles
    from harness.federated.keeping import Keeper
    from harness.federated.observer import Observer
    from harness.federated.trainers import Trainers
    from harness.measurement.cost import WorkModel
    from harness.records.cells import Cell, CellReport, CellResult, FinishedCell, SharedJob
    from harness.records.listing import Item
    from harness.running.target import Target
    from harness.workloads.on_devices import Participant, WireCodec


@dataclass(frozen=True)
class Objective:
    """Name the one value that a method is judged by, and in which direction it is better."""

    name: str
    better: Literal["lower", "higher"]
    meaning: str
    unit: str = ""


class MethodSpec(Protocol):
    """Be one method as typed."""

    @property
    def text(self) -> str:
        """Return it as typed."""
        ...

    @property
    def name(self) -> str:
        """Return its name without parameters."""
        ...

    @property
    def slug(self) -> str:
        """Return it as it may stand in a file name."""
        ...


@dataclass(frozen=True)
class Expectation:
    """Hold what a run is expected to take: seconds here, modelled joules, bytes on disk.

    `time_model_s` are seconds of the device answered for; None if that is the host. `foreign_cores`
    is how many cores other programs kept busy while steps were timed; None if that is not known.
    With `rest` all but the bytes is what is left of a run that goes on.
    """

    time_s: float
    energy_model_j: float
    data_bytes: float
    results_bytes: float
    time_model_s: float | None = None
    foreign_cores: float | None = None
    rest: bool = False


class DataScreen(Protocol):
    """Show to people how data are made."""

    def making_data(self, done: int, total: int) -> None:
        """Show how far data are that have to be made first."""
        ...


class PlanScreen(DataScreen, Protocol):
    """Show to people what a workload settles before a run."""

    def say(self, title: str, text: str) -> None:
        """Show a line of the plan: a word, and what it is."""
        ...


@dataclass(frozen=True)
class Settling:
    """Say how much may be measured to settle a draft: all `anew`, or for a `dry` run nothing.

    `done` holds, of a run that goes on, cell → unit-rounds that need not be trained any more. With
    `remote` clients train on other devices, and here models are averaged and tested.
    """

    dry: bool = False
    anew: bool = False
    done: Mapping[str, float] = field(default_factory=dict)
    remote: bool = False


class Codec(Protocol):
    """Turn what only the workload knows into plain JSON values, and back to the last bit."""

    def job(self, job: Any) -> Mapping[str, Any]:  # noqa: ANN401
        """Return what makes a job the job it is; its name, and `first_round`, `last_round`."""
        ...

    def measured(self, found: Any) -> Any:  # noqa: ANN401
        """Return what one round gave beside the training."""
        ...

    def read_measured(self, plain: Any) -> Any:  # noqa: ANN401
        """Return what `measured` wrote."""
        ...


class Library(Protocol):
    """Keep finished jobs of a seed and lend them to later cells."""

    def add(self, cell: FinishedCell) -> None:
        """Take in the jobs of a cell that is done."""
        ...

    def shared(self, job: Any, borrower: str) -> SharedJob | None:  # noqa: ANN401
        """Return the longest beginning of a job that is there, for the cell that asks for it."""
        ...


class Study(Protocol):
    """Be a workload opened for one run: its data at hand, its way of training settled."""

    @property
    def config(self) -> RunConfig:
        """Return the configuration as it is trained."""
        ...

    def asked_config(self) -> RunConfig:
        """Return the configuration as it was asked for."""
        ...

    @property
    def threads(self) -> int:
        """Return the threads that training uses."""
        ...

    @property
    def codec(self) -> Codec:
        """Return what keeps its jobs."""
        ...

    def device_model(self) -> WorkModel | None:
        """Return the seconds of counted work on the device answered for; None if this is it."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return its sections of the manifest."""
        ...

    def warm_up(self) -> None:
        """Do once what the first cell would otherwise pay for."""
        ...

    def engine(
        self, seed: int, observer: Observer, keeper: Keeper, trainers: Trainers | None
    ) -> Any:  # noqa: ANN401 - its methods know it
        """Return what carries out the jobs of one cell."""
        ...

    def carry_out(self, spec: Any, seed: int, engine: Any) -> Any:  # noqa: ANN401
        """Let a method ask for its jobs one after another; return what serves in the end."""
        ...

    def report(self, result: CellResult) -> CellReport:
        """Return what a cell came to, in columns, values and files."""
        ...

    def gains(
        self, own: Mapping[str, Any], reference: Mapping[str, Any]
    ) -> Mapping[str, float | None]:
        """Return columns that compare a cell's standing with that of the reference method."""
        ...

    def library(self) -> Library | None:
        """Return what shares jobs between the methods of a seed; None if none are shared."""
        ...


@runtime_checkable
class Comparing(Protocol):
    """Be a study whose run has files that set its cells beside each other."""

    def comparisons(self, standings: Sequence[tuple[Cell, Mapping[str, Any]]]) -> Mapping[str, str]:
        """Return files by path below the run folder, from the standings of its finished cells.

        They are written anew after every cell.
        """
        ...


@runtime_checkable
class Concluding(Protocol):
    """Be a workload that has more to say at the end of a run than the table of methods."""

    def conclusion(self, folder: Path) -> Sequence[str]:
        """Return lines for the screen, from the files of a run."""
        ...


class Draft(Protocol):
    """Be what a workload makes of a configuration on a host, before its data are opened."""

    def expected(self) -> Expectation:
        """Return what the run is expected to take."""
        ...

    def open(self, screen: PlanScreen) -> OpenedData:
        """Open the data, making them if need be, and say what that changes of the plan.

        Raises:
            DataError: if they cannot be made or are damaged.
        """
        ...


class OpenedData(Protocol):
    """Be a draft with its data at hand, before the run folder is chosen."""

    def facts(self) -> Mapping[str, Any]:
        """Return what a run is recognised by beside configuration and host; `data` at least."""
        ...

    @property
    def clients(self) -> int:
        """Return how many clients the data have."""
        ...

    def study(self, manifest: Mapping[str, Any]) -> Study:
        """Return the study, with what the manifest of a run that goes on has settled."""
        ...


class Workload(Protocol):
    """Be one kind of thing that can be trained and measured."""

    name: str
    title: str
    objective: Objective
    reference: str
    """The method that others are compared with."""

    files: Mapping[str, Sequence[Column]]
    """Tables of its own in a run folder, by path: `<cell>` in it stands for every cell."""

    def config_class(self) -> type[RunConfig]:
        """Return the class of its configurations; the default of their `workload` is its name."""
        ...

    def listing(self, kind: str, cache: str) -> Iterable[Item]:
        """Return its methods, models, datasets or tasks; nothing for a kind it does not have."""
        ...

    def legend(self, kind: str) -> str:
        """Return what a list needs to be understood; often nothing."""
        ...

    def parse(self, text: str) -> MethodSpec:
        """Read one method as typed.

        Raises:
            UsageError: naming the nearest right one.
        """
        ...

    def plan_lines(self, config: RunConfig) -> Sequence[tuple[str, str]]:
        """Return what the first screen says of data and training: a word and a line each."""
        ...

    def progress_steps(self, config: RunConfig, spec: Any, seed: int) -> int:  # noqa: ANN401
        """Return how many unit-rounds a cell has, for its bar."""
        ...

    def columns_page(self) -> str:
        """Return what the page of result files says of its values; empty if nothing."""
        ...

    def findings(self, run: RunFiles) -> Iterable[Finding]:
        """Return what is wrong with files that only its runs have."""
        ...

    def contradictions(self, run: RunFiles) -> Iterable[tuple[str, str, str]]:
        """Return column, cell and words of what its files contradict in cells.csv."""
        ...

    def owns_cache(self, folder: Path) -> bool:
        """Say whether a folder holds data of this workload already, and so may be written to."""
        ...

    def for_fleet(self, config: RunConfig) -> RunConfig:
        """Return the configuration of a run over devices.

        Raises:
            UsageError: for options that devices cannot follow.
        """
        ...

    @property
    def wire(self) -> WireCodec:
        """Return what travels in a fleet."""
        ...

    def participant(self, config: RunConfig, target: Target) -> Participant:
        """Open the data of a run on a device of a fleet.

        Raises:
            HarnessError: if they cannot be opened.
        """
        ...

    def draft(
        self,
        config: RunConfig,
        target: Target,
        manifest: Mapping[str, Any],
        settling: Settling,
        screen: PlanScreen,
    ) -> Draft:
        """Settle how a run is trained on a host; `manifest` is that of a run that goes on."""
        ...
