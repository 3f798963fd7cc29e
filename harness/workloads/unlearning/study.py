"""Be the workload of unlearning for one run: settle, draw data, carry out cells, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from harness.core.errors import raise_all
from harness.federated.engine import RoundsEngine
from harness.federated.keeping import JobState, Keeper
from harness.federated.observer import Observer, SilentObserver
from harness.federated.trainers import RoundRequest, Trainers
from harness.measurement.cost import DeviceModel
from harness.records.cells import Cell, CellReport, CellResult
from harness.run_folder.results import csv_text
from harness.running.prepare import prepare_torch
from harness.running.target import Target
from harness.workloads.base import Expectation, PlanScreen
from harness.workloads.simple import SimpleStudy
from harness.workloads.unlearning.board_report import board_report
from harness.workloads.unlearning.boards import BoardRounds, BoardsJob
from harness.workloads.unlearning.choice import KINDS, Asked, Scenario, batch_size, scenarios
from harness.workloads.unlearning.codec import UnlearningCodec
from harness.workloads.unlearning.comparison import compared
from harness.workloads.unlearning.config import UnlearningConfig
from harness.workloads.unlearning.data.generated import Generated
from harness.workloads.unlearning.data.interactions import Interactions
from harness.workloads.unlearning.data.source import GeneratedSource, Source, open_file
from harness.workloads.unlearning.engine import JobsEngine
from harness.workloads.unlearning.forecast import expected
from harness.workloads.unlearning.judging.judge import Judge, References
from harness.workloads.unlearning.methods.base import World
from harness.workloads.unlearning.methods.registry import UnlearningMethod, shard_problems
from harness.workloads.unlearning.report import cell_report
from harness.workloads.unlearning.schedule import Cellwork, Served
from harness.workloads.unlearning.tables import SUMMARY, SUMMARY_FILE
from harness.workloads.unlearning.timing import Timing, recorded, take
from harness.workloads.unlearning.training import Training

PERIODS = 50
LONG_S = 5.0
"""A window is long enough for a meter with 5 s, or with 50 of its periods."""

FEW_USERS = 5
"""Users of a shard below which its model learns next to nothing."""


@dataclass(frozen=True)
class UnlearningStudy(SimpleStudy):
    """Train, forget and judge; draft, data and study in one."""

    config: UnlearningConfig
    target: Target
    source: Source
    timing: Timing
    drawn: dict[int, Interactions] = field(default_factory=dict)
    references: References = field(default_factory=References)
    board_rounds: list[BoardRounds] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the rounds of boards once, as they keep models."""
        self.board_rounds.append(BoardRounds(self))

    codec: ClassVar[UnlearningCodec] = UnlearningCodec()

    def expected(self) -> Expectation:
        """Return what the run is expected to take."""
        return expected(self)

    def facts(self) -> Mapping[str, Any]:
        """Return what a run is recognised by: the data, and what a file of requests holds."""
        seeds = self.config.seeds
        asked = "" if self.config.who in KINDS else str(
            [[r.users for r in s.requests] for seed in seeds[:1] for s in self.scenarios(seed)]
        )  # fmt: skip
        return {"data": f"{self.source.checksum}{asked and f'-{_digest(asked)}'}",
                "torch": _torch_version()}  # fmt: skip

    @property
    def checksum(self) -> str:
        """Return what tells the data from others."""
        return self.source.checksum

    @property
    def clients(self) -> int:
        """Return the boards of a fleet: each holds all data, and has requests of its own."""
        return max(1, self.config.boards)

    def samples(self, client: int) -> int:
        """Return 1: no board counts more than another."""
        del client
        return 1

    @property
    def training(self) -> Training:
        """Return how recommenders are trained."""
        config = self.config
        return Training(
            config.model, config.width, config.epochs, config.batch_size, config.learning_rate,
            config.decay,
        )  # fmt: skip

    @property
    def window_s(self) -> float:
        """Return the shortest window that the meter can judge."""
        return self.config.window_s or min(LONG_S, PERIODS / self.config.rate_hz)

    def device_model(self) -> DeviceModel | None:  # type: ignore[override]
        """Return the seconds of counted work on the device answered for; None if this is it."""
        return self.timing.device_model(self.target)

    def describe(self) -> Mapping[str, Any]:
        """Return data, timing and users of each scenario for the manifest."""
        return {
            "data": self.source.facts,
            "timing": self.timing.as_dict(),
            "training": asdict(self.training),
            "window_s": self.window_s,
        }

    def interactions(self, seed: int) -> Interactions:
        """Return the data of a seed; the last ones drawn are kept."""
        if seed not in self.drawn:
            self.drawn.clear()
            self.drawn[seed] = self.source.draw(seed)
        return self.drawn[seed]

    def scenarios(self, seed: int, board: int = 0) -> list[Scenario]:
        """Return who asks; each board of a fleet has users of its own."""
        config = self.config
        asked = Asked(config.who, config.batch, config.share, config.stream)
        return scenarios(asked, self.interactions(seed), seed, board)

    def cellwork(self, spec: UnlearningMethod, seed: int, board: int = 0) -> Cellwork:
        """Return what one cell needs."""
        world = World(self.interactions(seed), self.training, seed)
        method = spec.build()
        judge = Judge(world, method, self.references)
        window_s = self.window_s if self.target.meter is not None else 0.0
        return Cellwork(world, method, judge, self.scenarios(seed, board), window_s)

    def warm_up(self) -> None:
        """Do everything once that the first cell would pay for: a request of each method."""
        seed = self.config.seeds[0]
        small = Generated(60, 40, 8.0).draw(seed)
        training = Training(self.config.model, self.config.width, 1, 64)
        world = World(small, training, seed)
        asked = scenarios(Asked("random", batch=False, share=0.1, stream=1), small, seed)
        for spec in self.config.method_specs():
            method = _fewer_shards(spec).build()
            work = Cellwork(world, method, Judge(world, method, References()), asked)
            work.carry_out(JobsEngine(world, SilentObserver()))

    def engine(
        self, seed: int, observer: Observer, keeper: Keeper, trainers: Trainers | None
    ) -> Any:  # noqa: ANN401 - of this device, or of a fleet
        """Return what carries out the jobs of one cell."""
        prepare_torch(self.threads)
        if self.config.boards:
            return RoundsEngine(self.rounds(), seed, observer, keeper, trainers)
        return JobsEngine(World(self.interactions(seed), self.training, seed), observer, keeper)

    def rounds(self) -> BoardRounds:
        """Return the rounds of boards."""
        return self.board_rounds[0]

    def work(self, request: RoundRequest, observer: Observer) -> BoardRounds:
        """Return what does a board's rounds; its models stay from one to the next."""
        found: BoardRounds = self.rounds().open(None, request.seed, observer)
        return found

    def carry_out(self, spec: UnlearningMethod, seed: int, engine: Any) -> Served | JobState:  # noqa: ANN401
        """Prepare, and answer all requests; boards of a fleet do so round by round."""
        if self.config.boards:
            last = 1 + self.config.batch + self.config.stream
            found: JobState = engine.run(BoardsJob(spec.text, last))
            return found
        return self.cellwork(spec, seed).carry_out(engine)

    def report(self, result: CellResult) -> CellReport:
        """Return what a cell came to."""
        return board_report(self, result) if self.config.boards else cell_report(self, result)

    def comparisons(self, standings: Sequence[tuple[Cell, Mapping[str, Any]]]) -> Mapping[str, str]:
        """Return the summary: every scenario of every cell, against training anew."""
        rows = [
            {"cell": cell.name, "method": cell.spec.text, "seed": cell.seed,
             "repeat": cell.repeat, **own}
            for cell, standing in standings
            for own in standing["rows"]
        ]  # fmt: skip
        return {SUMMARY_FILE: csv_text(SUMMARY, compared(rows))}


def _digest(text: str) -> str:
    import hashlib  # noqa: PLC0415

    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _torch_version() -> str:
    import torch  # noqa: PLC0415

    return str(torch.__version__)


def _fewer_shards(spec: UnlearningMethod) -> UnlearningMethod:
    from dataclasses import replace  # noqa: PLC0415

    if "shards" not in spec.parameters:
        return spec
    return replace(spec, parameters={**spec.parameters, "shards": 2.0})


def draft(
    config: UnlearningConfig, target: Target, manifest: Mapping[str, Any], screen: PlanScreen
) -> UnlearningStudy:
    """Open the data, look whether all requests can be meant, and time the work.

    Raises:
        DataError: if the data or a file of requests cannot be used.
        UsageError: if a method is impossible with these data.
    """
    prepare_torch(target.threads)
    source = find_source(config)
    first = source.draw(config.seeds[0])
    raise_all([p for spec in config.method_specs() for p in shard_problems(spec, first.user_count)])
    attention = [spec.shards for spec in config.method_specs() if spec.name == "receraser"]
    training = Training(config.model, config.width, batch_size=config.batch_size)
    timing = recorded(manifest) or take(first, training, max(attention, default=0))
    study = UnlearningStudy(config, target, source, timing, {config.seeds[0]: first})
    asked = study.scenarios(config.seeds[0])
    for title, text in notes(config, first, asked):
        screen.say(title, text)
    return study


def find_source(config: UnlearningConfig) -> Source:
    """Return where the interactions come from.

    Raises:
        DataError: if a file cannot be read, or leaves nothing to train on.
    """
    if config.generated:
        return GeneratedSource(Generated(config.users, config.items, config.mean))
    return open_file(config.data, config.core)


def notes(
    config: UnlearningConfig, data: Interactions, asked: Sequence[Scenario]
) -> list[tuple[str, str]]:
    """Return lines of the plan that only the data tell."""
    found = [(
        "Found", f"{data.user_count} users, {data.item_count} items,"
        f" {len(data.train)} interactions to train on, {len(data.held)} held out",
    )]  # fmt: skip
    for scenario in asked:
        users = f"{len(scenario.users)} user{'' if len(scenario.users) == 1 else 's'}"
        refused = len(scenario.requests) - len(scenario.answered)
        more = f"; {refused} refused: somebody in it is gone by then" if refused else ""
        found.append(("", f"         {scenario.name}: {len(scenario.requests)} request"
                      f"{'' if len(scenario.requests) == 1 else 's'}, {users}{more}"))  # fmt: skip
    if config.who in KINDS and config.batch and config.share * data.user_count < 1.0:
        share = f"{100 * config.share:g} % of {data.user_count} users is less than one"
        found.append(("Note", f"{share}: the batch is {batch_size(config.share, 1)} user"))
    found += [
        ("Note", f"{spec.text}: shards of fewer than {FEW_USERS} users learn next to nothing")
        for spec in config.method_specs()
        if spec.shards * FEW_USERS > data.user_count
    ]
    without = int(np.sum(data.held.counts == 0))
    if without:
        found.append(("Note", f"{without} users have nothing held out: they are in no mean"))
    return found
