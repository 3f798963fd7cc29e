"""Keep two real workers alive for all tests of a module, and run tiny matrices over them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.fleet.fleet import Fleet
from harness.fleet.settings import FleetSettings
from harness.fleet.transport import Transport
from harness.run_folder.resume import Start
from harness.running.limits import Limits
from harness.workloads.multitask.config import MultitaskConfig, make_multitask_config
from tests.harness.fleet.workers import WorkerProcess

TINY = {
    "tasks": "sd", "methods": ("mas:splits=2",), "clients": 2, "images": 8, "unseen_buildings": 1,
    "unseen_images": 4, "clients_per_round": 2, "rounds": 3, "batch_size": 2, "evaluate_every": 1,
    "size": 32, "idle_s": 0.2, "threads": 1, "meter": "none", "step": "plain",
}  # fmt: skip


class Listening:
    """Show nothing and remember what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.states: list = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None

    def fleet_note(self, text: str) -> None:
        self.notes.append(text)

    def fleet_state(self, rows) -> None:
        self.states.append(rows)


class Bench:
    """Run one tiny configuration here or over devices."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    def config(self, out: Path, **changes: object) -> MultitaskConfig:
        return make_multitask_config({**TINY, "out": str(out), "cache": str(self.cache), **changes})

    def fleet(self, transport: Transport, config: MultitaskConfig, screen=None, **plan) -> Fleet:
        from harness.running.prepare import prepare_torch  # noqa: PLC0415 - needs torch
        from harness.workloads.multitask.data.dataset import open_data  # noqa: PLC0415

        screen = screen or Listening()
        store = open_data(config, screen)
        prepare_torch(1)
        told = {k: v for k, v in config.as_dict().items() if k not in ("out", "cache", "threads")}
        values = {"deadline_s": 60.0, "join_s": 60.0, "versions": {}, **plan}
        return Fleet(
            transport, FleetSettings(told, config.clients, store.checksum, **values), screen
        )

    def run(self, config: MultitaskConfig, devices: Fleet | None = None, screen=None):
        from harness.running import session  # noqa: PLC0415
        from harness.running.target import resolve_target  # noqa: PLC0415
        from harness.workloads.base import Settling  # noqa: PLC0415
        from harness.workloads.multitask.workload import WORKLOAD  # noqa: PLC0415

        screen = screen or Listening()
        target = resolve_target(config)
        opened = WORKLOAD.draft(config, target, {}, Settling(), screen).open(screen)
        return session.run(config, target, opened, screen, Start(), Limits(), devices=devices)


@pytest.fixture(scope="session")
def bench(tmp_path_factory) -> Bench:
    return Bench(tmp_path_factory.mktemp("fleet-data"))


@pytest.fixture(scope="session")
def made(bench, tmp_path_factory) -> Bench:
    """Make the data once, so that no worker has to."""
    from harness.workloads.multitask.data.dataset import open_data  # noqa: PLC0415

    open_data(bench.config(tmp_path_factory.mktemp("none")), Listening())
    return bench


@pytest.fixture(scope="module")
def workers(made, tmp_path_factory):
    """Two real devices; a test that ends one of them starts its own."""
    folder = tmp_path_factory.mktemp("w")
    found = [WorkerProcess(folder, str(i), cache=made.cache) for i in range(2)]
    try:
        yield [worker.wait_ready() for worker in found]
    finally:
        for worker in found:
            worker.kill()
