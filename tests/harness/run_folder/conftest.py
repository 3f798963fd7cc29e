"""Run whole tiny runs in this process, or in a child of it that can be killed."""

import csv
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.run_folder.resume import Start, read_manifest, unfinished
from harness.running.limits import Limits
from harness.workloads.multitask.config import MultitaskConfig, make_multitask_config

CONSTANT_20_W = "simulated:kind=counter,shape=constant,high_w=20"

TINY = {
    "tasks": "sd", "methods": ("mas:splits=2", "independent"), "clients": 2, "images": 8,
    "unseen_buildings": 1, "unseen_images": 4, "clients_per_round": 2, "rounds": 3,
    "batch_size": 2, "evaluate_every": 1, "size": 32, "idle_s": 0.2, "threads": 1, "meter": "none",
    "step": "plain",
}  # fmt: skip


class SilentScreen:
    """Show nothing."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.resumed = False

    def say(self, title, text):
        pass

    def making_data(self, done, total):
        pass

    def run_started(self, path, *, resumed):
        self.resumed = resumed

    def note(self, text):
        self.notes.append(text)

    def cell_started(self, cell, number, total):
        pass

    def round_done(self, progress):
        pass

    def disturbed(self, flags):
        pass

    def cell_done(self, result, report):
        pass


@dataclass
class Runner:
    """Start runs of one tiny configuration."""

    cache: Path

    def config(self, out: Path, **changes: object) -> MultitaskConfig:
        return make_multitask_config({**TINY, "out": str(out), "cache": str(self.cache), **changes})

    def run(self, out, *, start=None, limits=None, screen=None, **changes):
        """Run to the end in this process."""
        from harness.running import session  # noqa: PLC0415
        from harness.running.target import resolve_target  # noqa: PLC0415
        from harness.workloads.base import Settling  # noqa: PLC0415
        from harness.workloads.multitask.workload import WORKLOAD  # noqa: PLC0415

        config = self.config(out, **changes)
        screen = screen or SilentScreen()
        target = resolve_target(config)
        start = start or Start()
        goes_on = unfinished(out, config.digest()) if start == Start() else start.resume
        earlier = {} if goes_on is None else read_manifest(goes_on)
        opened = WORKLOAD.draft(config, target, earlier, Settling(), screen).open(screen)
        return session.run(config, target, opened, screen, start, limits or Limits())

    def doomed(self, out, prepare: Callable[[], None], after_s: float | None, **changes) -> bool:
        """Run in a child that prepares its own end, or is killed after a time; say if it was."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                prepare()
                self.run(out, **changes)
                code = 0
            finally:
                os._exit(code)
        if after_s is not None:
            deadline = time.monotonic() + after_s
            while time.monotonic() < deadline:
                if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                    break
                time.sleep(0.005)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed by itself"
        return os.WIFSIGNALED(status)


@pytest.fixture(scope="session")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def undisturbed(runner, tmp_path_factory) -> Path:
    """Return the folder of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("undisturbed")
    runner.run(out)
    return only(out)


def only(out: Path) -> Path:
    (path,) = out.glob("[0-9]*")
    return path


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open() as stream:
        return list(csv.DictReader(stream))


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def learned(folder: Path) -> dict[str, object]:
    """Return all that a run learned: every value, split, affinity and weight, to the last bit."""
    values = sorted(
        tuple(value for key, value in row.items() if key != "run_id")
        for row in rows(folder, "metrics")
    )
    columns = ("cell", "groups", "total_loss", "unseen_total_loss", "delta_mtl", "delta_metric",
               "encoder_passes", "decoder_passes", "upload_bytes", "status")  # fmt: skip
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for kind in ("affinity", "checkpoints")
        for path in sorted((folder / kind).rglob("*"))
        if path.is_file()
    }
    cells = [tuple(row[c] for c in columns) for row in rows(folder, "cells")]
    return {"values": values, "cells": cells, "files": files}
