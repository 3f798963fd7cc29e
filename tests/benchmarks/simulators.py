"""Time federated rounds in one: python -m tests.benchmarks.simulators NAME ROUNDS THREADS.

Prints one line of JSON, the seconds from each round to the next. Model, data, clients a round,
batch, epochs, learning rate and kind of SGD are the same for all; the loss is the sum over tasks,
and nobody tests. Each simulator is used as its documents show.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.federated.random_streams import random_stream
from harness.measurement.phases import PhaseLog
from harness.measurement.recorder import CellRecorder
from harness.running.prepare import prepare_torch
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.settings import federation, task_loss
from harness.workloads.multitask.training.batches import ClientBatches
from models.execution import PLAIN
from models.multitask.network import MultiTaskNet, build
from models.multitask.optimizer import descent
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from tests.benchmarks.load import default_store

CONFIG = MultitaskConfig()
RATE = 0.05


def prepare(threads: int) -> None:
    """Give torch the same threads in every process of every simulator, as a run does in its own."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


def network() -> MultiTaskNet:
    """Return the merged network of the default run."""
    loss = task_loss(CONFIG, default_store(CONFIG))
    return build(architecture(CONFIG.model), CONFIG.tasks, 0, loss).train()


def train(net: MultiTaskNet, client: int, number: int) -> int:
    """Train one client's epoch; return its images."""
    optimizer = descent(net, PLAIN, lr=RATE, momentum=0.9, weight_decay=1e-4)
    batches = ClientBatches(default_store(CONFIG), "train", client, CONFIG.tasks)
    for images, targets in batches.epoch(CONFIG.batch_size, random_stream(0, "order", number)):
        optimizer.zero_grad(set_to_none=True)
        accumulate_gradients(net, images, targets)
        optimizer.step()
    return batches.length


def ours(rounds: int, threads: int) -> list[float]:
    """Run a job as a run does, with its marks; tests are taken off."""
    prepare_torch(threads)
    log = PhaseLog()
    ends: list[float] = []
    recorder = CellRecorder("bench", log, lambda _: ends.append(time.perf_counter()))
    settings = federation(CONFIG)
    begun_s = time.perf_counter()
    engine = LocalEngine(default_store(CONFIG), architecture(CONFIG.model), settings, 0, recorder)
    engine.run(Job(CONFIG.tasks, rounds))
    passed = np.diff([begun_s, *ends])
    for segment in log.segments:
        if segment.label.phase == "evaluate" and segment.label.round_index is not None:
            passed[segment.label.round_index] -= segment.time_s
    return [float(seconds) for seconds in passed]


def flower(rounds: int, threads: int) -> list[float]:
    """Run Flower's simulation engine, one client at a time, with CodeCarbon around it."""
    from codecarbon import OfflineEmissionsTracker  # noqa: PLC0415
    from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict  # noqa: PLC0415
    from flwr.clientapp import ClientApp  # noqa: PLC0415
    from flwr.serverapp import Grid, ServerApp  # noqa: PLC0415
    from flwr.serverapp.strategy import FedAvg  # noqa: PLC0415
    from flwr.simulation import run_simulation  # noqa: PLC0415

    server, client = ServerApp(), ClientApp()
    starts: list[float] = []

    class Timed(FedAvg):  # type: ignore[misc]
        """Note when each round begins."""

        def configure_train(self, *words: Any, **named: Any) -> Any:
            """Begin a round."""
            starts.append(time.perf_counter())
            return super().configure_train(*words, **named)

    @server.main()  # type: ignore[untyped-decorator]
    def serve(grid: Grid, _: Context) -> None:
        share = CONFIG.clients_per_round / CONFIG.clients
        strategy = Timed(
            fraction_train=share, fraction_evaluate=0.0, min_available_nodes=CONFIG.clients
        )
        arrays = ArrayRecord(network().state_dict())
        strategy.start(grid=grid, initial_arrays=arrays, num_rounds=rounds)
        starts.append(time.perf_counter())

    @client.train()  # type: ignore[untyped-decorator]
    def learn(message: Message, context: Context) -> Message:
        prepare(threads)
        net = network()
        net.load_state_dict(message.content["arrays"].to_torch_state_dict())
        number = int(context.node_config["partition-id"])
        images = train(net, number, int(message.content["config"]["server-round"]))
        content = RecordDict(
            {
                "arrays": ArrayRecord(net.state_dict()),
                "metrics": MetricRecord({"num-examples": images}),
            }
        )
        return Message(content=content, reply_to=message)

    tracker = OfflineEmissionsTracker(
        country_iso_code="DEU", save_to_file=False, log_level="error", allow_multiple_runs=True
    )
    tracker.start()
    try:
        run_simulation(
            server_app=server, client_app=client, num_supernodes=CONFIG.clients,
            backend_config={
                "init_args": {"num_cpus": threads},
                "client_resources": {"num_cpus": threads, "num_gpus": 0.0},
            },
        )  # fmt: skip
    finally:
        tracker.stop()
    return [float(seconds) for seconds in np.diff(starts)]


def pfl(rounds: int, threads: int) -> list[float]:
    """Run pfl-research's simulated backend with federated averaging."""
    prepare(threads)
    from pfl.aggregate.simulate import SimulatedBackend  # noqa: PLC0415
    from pfl.algorithm.base import NNAlgorithmParams  # noqa: PLC0415
    from pfl.algorithm.federated_averaging import FederatedAveraging  # noqa: PLC0415
    from pfl.callback.base import TrainingProcessCallback  # noqa: PLC0415
    from pfl.data.dataset import Dataset  # noqa: PLC0415
    from pfl.data.federated_dataset import FederatedDataset  # noqa: PLC0415
    from pfl.data.sampling import get_user_sampler  # noqa: PLC0415
    from pfl.hyperparam.base import NNTrainHyperParams  # noqa: PLC0415
    from pfl.model.pytorch import PyTorchModel  # noqa: PLC0415

    store = default_store(CONFIG)

    class Net(torch.nn.Module):
        """Give the network the two methods that pfl asks for."""

        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def loss(self, images: Tensor, *targets: Tensor) -> Tensor:
            """Return the summed loss of all tasks."""
            self.train()
            predictions = self.net(images)
            pairs = zip(CONFIG.tasks, targets, strict=True)
            return torch.stack([self.net.loss(t, predictions[t], y) for t, y in pairs]).sum()

        def metrics(self, *_: Tensor) -> dict[str, Any]:
            """Measure nothing: no round is tested."""
            return {}

    def user(number: int) -> Any:
        batches = ClientBatches(store, "train", number, CONFIG.tasks)
        images, targets = batches.read(np.arange(batches.length))
        return Dataset(raw_data=[images, *(targets[task] for task in CONFIG.tasks)], user_id=number)

    ends = [time.perf_counter()]

    class Timed(TrainingProcessCallback):  # type: ignore[misc]
        """Note when each round ends."""

        def after_central_iteration(self, *_: Any, **__: Any) -> tuple[bool, Any]:
            """End a round."""
            from pfl.metrics import Metrics  # noqa: PLC0415

            ends.append(time.perf_counter())
            return False, Metrics()

    np.random.seed(0)  # noqa: NPY002 - pfl draws from numpy's global generator
    users = list(range(store.count("train")))
    data = FederatedDataset(user, get_user_sampler("random", users))
    net = Net()
    model = PyTorchModel(
        net,
        lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.9, weight_decay=1e-4),
        torch.optim.SGD(net.parameters(), lr=1.0),
    )
    FederatedAveraging().run(
        NNAlgorithmParams(
            central_num_iterations=rounds, evaluation_frequency=10**6,
            train_cohort_size=CONFIG.clients_per_round, val_cohort_size=None,
        ),
        SimulatedBackend(training_data=data, val_data=None),
        model,
        NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=RATE, local_batch_size=CONFIG.batch_size
        ),
        callbacks=[Timed()],
    )  # fmt: skip
    return [float(seconds) for seconds in np.diff(ends)]


SIMULATORS: dict[str, Callable[[int, int], list[float]]] = {
    "ours": ours,
    "flower": flower,
    "pfl": pfl,
}

if __name__ == "__main__":
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    print(json.dumps(SIMULATORS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))))
