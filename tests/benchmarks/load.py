"""Keep all cores busy with the default training: python -m tests.benchmarks.load."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import torch

from devices.host import usable_cores
from harness.running.accelerator import CPU, torch_device
from harness.running.prepare import prepare_torch
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.data.dataset import open_data
from harness.workloads.multitask.data.store import Store
from harness.workloads.multitask.planning.plan import random_batch
from harness.workloads.on_devices import Silence
from models.multitask.network import build
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients


def training_step(accelerator: str = CPU) -> Callable[[], None]:
    """Return one step of the merged model of the default run, on random images of its size."""
    return model_and_step(accelerator)[1]


def model_and_step(accelerator: str = CPU) -> tuple[torch.nn.Module, Callable[[], None]]:
    """Return the merged model of the default run and its step."""
    config, device = MultitaskConfig(), torch_device(accelerator)
    net = build(architecture(config.model), config.tasks, 0).train().to(device)
    images, targets = random_batch(config.tasks, config.batch_size, config.size)
    images, targets = images.to(device), {t: target.to(device) for t, target in targets.items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=config.momentum)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        accumulate_gradients(net, images, targets)
        optimizer.step()

    return net, step


def seconds(action: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    start_s = time.perf_counter()
    action()
    return time.perf_counter() - start_s


def default_store(config: MultitaskConfig) -> Store:
    """Return the generated data of a configuration; they are made once and kept."""
    return open_data(config, Silence())


def use_all_cores() -> int:
    """Give torch every core this process may use, as a run does, and return how many."""
    cores = usable_cores()
    prepare_torch(cores)
    return cores


def main() -> None:
    """Train until the parent is gone or ends this process."""
    use_all_cores()
    step = training_step()
    parent = os.getppid()
    print("busy", flush=True)
    while os.getppid() == parent:
        step()


if __name__ == "__main__":
    main()
