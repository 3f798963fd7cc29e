"""A workload that nothing of the harness knows: federated linear regression with an exact optimum.

Every client has rows X and targets y; the model is one vector w. A round is one gradient step of
every client's mean squared error, averaged by their rows: gradient descent on all rows together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from harness.config import RunConfig, option
from harness.core.errors import unknown
from harness.federated.engine import RoundsEngine
from harness.federated.job import Checkpoint, Traffic
from harness.federated.server import FederatedAverage
from harness.federated.task import StateJudgement
from harness.federated.trainers import RoundRequest, Update
from harness.records.cells import CellReport
from harness.records.listing import Item
from harness.records.work import Work
from harness.workloads.base import Expectation, Objective

RATES = {"plain": 0.05, "bold": 0.1}


@dataclass(frozen=True)
class ToyConfig(RunConfig):
    workload: str = option("toy", "what is trained", metavar="NAME")
    methods: tuple[str, ...] = option(("plain", "bold"), "rates to compare", metavar="LIST")
    rounds: int = option(5, "gradient steps")
    clients: int = option(3, "clients")
    columns: int = option(4, "length of the vector")
    least: ClassVar[Mapping[str, float]] = {**RunConfig.least, "rounds": 1, "clients": 1}


@dataclass(frozen=True)
class Spec:
    text: str

    @property
    def name(self):
        return self.text

    @property
    def slug(self):
        return self.text


@dataclass(frozen=True)
class Job:
    name: str
    last_round: int
    rate: float
    units: tuple[str, ...] = ("w",)
    first_round: int = 0


@dataclass(frozen=True)
class Outcome:
    job: Job
    weights: Checkpoint
    error: float
    traffic: Traffic


def rows_of(client, columns):
    """The client's own rows, of which it has 10 more than the one before."""
    random = np.random.default_rng(client)
    x = random.normal(size=(10 * (client + 1), columns))
    return torch.from_numpy(x), torch.from_numpy(
        x @ np.arange(columns) + random.normal(size=len(x))
    )


@dataclass(frozen=True)
class Regression:
    """The federated task; and the work of its jobs, as one job has no state of its own."""

    config: ToyConfig
    job: Job | None = None
    seed: int = 0
    observer: object = None

    def open(self, job, seed, observer):
        return Regression(self.config, job, seed, observer)

    def begin(self):
        return Checkpoint({"w": torch.zeros(self.config.columns, dtype=torch.float64)})

    def request(self, round_index):
        clients = range(self.config.clients)
        return RoundRequest(
            self.job.name, self.job.units, round_index, clients, self.seed, self.job.rate
        )

    def weight(self, client):
        return len(rows_of(client, self.config.columns)[0])

    def train(self, weights, request, client, order):
        x, y = rows_of(client, self.config.columns)
        w = weights.tensors["w"]
        residual = x @ w - y
        self.observer.work(Work({"w": float(len(x))}, {"rows": len(x)}))
        step = request.settings * 2.0 * x.T @ residual / len(x)
        return Update(client, {"w": w - step}, {"w": float((residual**2).mean())})

    def expected(self, client):
        return self.begin().tensors

    def download(self, weights, client):
        return weights.bytes

    def upload(self, update):
        return Checkpoint(update.tensors).bytes

    def aggregator(self, expected_weight):
        return FederatedAverage(expected_weight)

    def measured(self, round_index, found):
        return ()

    def is_judged_after(self, rounds_done):
        return True

    def judge(self, weights, *, final):
        error = total_error(weights.tensors["w"], self.config)
        self.observer.work(Work({"w": 1.0}))
        return StateJudgement({"error": {"w": error}}, [("error", "w", error)])

    def outcome(self, state):
        return Outcome(self.job, state.weights, state.judged["error"]["w"], state.traffic)


def total_error(w, config):
    """Mean squared error over all clients' rows."""
    pairs = [rows_of(client, config.columns) for client in range(config.clients)]
    squares = [((x @ w - y) ** 2).sum() for x, y in pairs]
    return float(sum(squares) / sum(len(x) for x, _ in pairs))


@dataclass(frozen=True)
class Study:
    """Draft, data and study in one: nothing is settled or made."""

    config: ToyConfig
    threads: int = 1

    class codec:  # noqa: N801 - as the interface names it
        job = staticmethod(lambda job: {**vars(job), "units": list(job.units)})
        measured = read_measured = staticmethod(lambda found: found)

    def expected(self):
        return Expectation(0.1, 1.0, 0.0, 10_000.0)

    def open(self, screen):
        return self

    def facts(self):
        return {"data": f"{self.config.clients}×{self.config.columns}"}

    @property
    def clients(self):
        return self.config.clients

    def study(self, manifest):
        return self

    def asked_config(self):
        return self.config

    def device_model(self):
        return None

    def describe(self):
        return {"data": {"name": "rows", "checksum": self.facts()["data"]}}

    def warm_up(self):
        total_error(torch.zeros(self.config.columns, dtype=torch.float64), self.config)

    def engine(self, seed, observer, keeper, trainers):
        return RoundsEngine(Regression(self.config), seed, observer, keeper, trainers)

    def carry_out(self, spec, seed, engine):
        return engine.run(Job(spec.text, self.config.rounds, RATES[spec.text]))

    def report(self, result):
        if result.status != "done":
            return CellReport()
        found = result.served
        columns = {"rounds": self.config.rounds, "clients": self.config.clients,
                   "clients_per_round": self.config.clients, **vars(found.traffic)}  # fmt: skip
        return CellReport(
            found.error, columns, standing={"error": found.error},
            texts={f"vectors/{result.cell.name}.txt": f"{found.weights.tensors['w'].tolist()}\n"},
            summary=f"error {found.error:.3f}",
        )  # fmt: skip

    def gains(self, own, reference):
        return {}

    def library(self):
        return None


class Toy:
    name = "toy"
    title = "linear regression"
    objective = Objective("error", "lower", "mean squared error over all rows")
    reference = "plain"

    def config_class(self):
        return ToyConfig

    def listing(self, kind, cache):
        return [Item(name, True, f"rate {rate}") for name, rate in RATES.items()]

    def legend(self, kind):
        return ""

    def parse(self, text):
        if text not in RATES:
            raise unknown("method", text, RATES)
        return Spec(text)

    def plan_lines(self, config):
        return [("Data", f"{config.clients} clients, {config.columns} columns")]

    def progress_steps(self, config, spec, seed):
        return config.rounds

    def columns_page(self):
        return ""

    def findings(self, run):
        return ()

    contradictions = findings

    def owns_cache(self, folder):
        return False

    def draft(self, config, target, manifest, settling, screen):
        return Study(config)


WORKLOAD = Toy()
