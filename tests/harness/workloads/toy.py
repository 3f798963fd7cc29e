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
from harness.federated.job import Checkpoint
from harness.federated.simple import SimpleJob, SimpleRounds
from harness.federated.task import StateJudgement
from harness.federated.trainers import Update
from harness.records.cells import CellReport
from harness.records.work import Work
from harness.workloads.base import Expectation, Objective
from harness.workloads.simple import SimpleStudy, SimpleWorkload

RATES = {"plain": 0.05, "bold": 0.1}


@dataclass(frozen=True)
class ToyConfig(RunConfig):
    workload: str = option("toy", "what is trained", metavar="NAME")
    methods: tuple[str, ...] = option(("plain", "bold"), "rates to compare", metavar="LIST")
    rounds: int = option(5, "gradient steps")
    clients: int = option(3, "clients")
    columns: int = option(4, "length of the vector")
    least: ClassVar[Mapping[str, float]] = {**RunConfig.least, "rounds": 1, "clients": 1}


def rows_of(client, columns):
    """The client's own rows, of which it has 10 more than the one before."""
    random = np.random.default_rng(client)
    x = random.normal(size=(10 * (client + 1), columns))
    return torch.from_numpy(x), torch.from_numpy(
        x @ np.arange(columns) + random.normal(size=len(x))
    )


def total_error(w, config):
    """Mean squared error over all clients' rows."""
    pairs = [rows_of(client, config.columns) for client in range(config.clients)]
    squares = [((x @ w - y) ** 2).sum() for x, y in pairs]
    return float(sum(squares) / sum(len(x) for x, _ in pairs))


class Regression(SimpleRounds):
    def begin(self):
        return Checkpoint({"w": torch.zeros(self.config.columns, dtype=torch.float64)})

    def weight(self, client):
        return len(rows_of(client, self.config.columns)[0])

    def train(self, weights, request, client, order):
        x, y = rows_of(client, self.config.columns)
        w = weights.tensors["w"]
        residual = x @ w - y
        self.observer.work(Work({"w": float(len(x))}, {"rows": len(x)}))
        step = request.settings["rate"] * 2.0 * x.T @ residual / len(x)
        return Update(client, {"w": w - step}, {"w": float((residual**2).mean())})

    def judge(self, weights, *, final):
        error = total_error(weights.tensors["w"], self.config)
        self.observer.work(Work({"w": 1.0}))
        return StateJudgement({"error": {"w": error}}, [("error", "w", error)])


class Study(SimpleStudy):
    def expected(self):
        return Expectation(0.1, 1.0, 0.0, 10_000.0)

    def facts(self):
        return {"data": f"{self.config.clients}×{self.config.columns}"}

    def rounds(self):
        return Regression(self.config)

    def carry_out(self, spec, seed, engine):
        job = SimpleJob(spec.text, ("w",), self.config.rounds, {"rate": RATES[spec.text]})
        return engine.run(job)

    def finished(self, result, columns):
        error, w = result.served.judged["error"]["w"], result.served.weights.tensors["w"]
        return CellReport(
            error, columns, standing={"error": error}, summary=f"error {error:.3f}",
            texts={f"vectors/{result.cell.name}.txt": f"{w.tolist()}\n"},
        )  # fmt: skip


class Toy(SimpleWorkload):
    name = "toy"
    title = "linear regression"
    objective = Objective("error", "lower", "mean squared error over all rows")
    reference = "plain"
    methods: ClassVar = {name: f"rate {rate}" for name, rate in RATES.items()}
    options = ToyConfig
    study = Study


WORKLOAD = Toy()
