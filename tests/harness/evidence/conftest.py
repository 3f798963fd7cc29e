"""Write run folders by hand, so that what is wrong with them is known."""

import copy
import gzip
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.core.schema import CELLS, METRICS, PHASE_ROWS, SCHEMA_VERSION
from harness.run_folder.results import csv_text

MANIFEST: dict[str, Any] = {
    "schema_version": SCHEMA_VERSION,
    "status": "done",
    "created": "2026-11-01T00:00:00+00:00",
    "command": "python -m harness.run",
    "quick": False,
    "device": {"name": "x86", "title": "x86-64 computer"},
    "host": {
        "description": "a processor, 4 cores", "matches_device": True, "cpu_model": "a processor",
        "cores": 4, "governor": "performance", "kernel": "6.1.0", "temperature_c": 40.0,
    },
    "software": {"python": "3.11.7", "torch": "2.13.0"},
    "source": {"commit": "0123456789abcdef", "dirty": False},
    "threads": 4,
    "meter": {"meter": "rapl", "name": "rapl", "kind": "counter", "scope": "package"},
    "meter_reason": "",
    "energy_model": {"idle_w": 10.0, "full_load_w": 65.0},
    "time_model": None,
    "data": {"name": "scenes", "checksum": "ab" * 32},
    "config": {
        "methods": ["independent", "mas:splits=2"], "seeds": [0, 1, 2, 3, 4, 5], "repeats": 2,
        "rounds": 10, "order": "random", "device": "auto", "meter": "auto", "out": "results",
    },
    "merge": {},
    "idle": {"before_w": 10.0, "after_w": 10.0},
    "reason": "",
}  # fmt: skip


def figure(method: str, seed: int, repeat: int) -> float:
    """Return joules: MAS takes 0.5 of independent, repeats differ by 1 %, seeds by 10 %."""
    return 100.0 * (1 + 0.1 * seed) * (1 + 0.01 * repeat) * (0.5 if "mas" in method else 1.0)


@dataclass
class Draft:
    """Hold a run that is still to be written; tests change what they like."""

    folder: Path
    manifest: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(MANIFEST))
    value: Callable[[str, int, int], float] = figure
    rows: list[dict[str, Any]] = field(default_factory=list)
    phases: list[dict[str, Any]] = field(default_factory=list)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Return a fifth of each cell's loss for every task of the one model that serves them."""
        return [
            {"run_id": row["run_id"], "cell": row["cell"], "round": 10, "job": "sdnkt",
             "task": task, "phase": "evaluate", "metric": metric, "value": value}
            for row in self.rows if row.get("total_loss") is not None
            for task in "sdnkt"
            for metric, value in (("test_loss", row["total_loss"] / 5), ("serves", 1))
        ]  # fmt: skip

    def fill(self) -> "Draft":
        """Make a row and a charged phase for every cell of the configuration."""
        for method, seed, repeat in self._matrix():
            value = self.value(method, seed, repeat)
            cell = f"{method.replace(':', '-').replace('=', '-')}-s{seed}-r{repeat}"
            own = {"run_id": self.folder.name, "cell": cell}
            cost = {"time_s": value / 20.0, "energy_j": value, "energy_error_j": 0.01 * value}
            self.rows.append(
                own | cost | {
                    "method": method, "seed": seed, "repeat": repeat, "tasks": "sdnkt",
                    "device": self.manifest["device"]["name"], "status": "done",
                    "total_loss": 4.0 + 0.1 * seed, "energy_model_j": value, "groups": "sdnkt",
                    "energy_meter": (self.manifest["meter"] or {}).get("name"),
                    "host_matches_device": self.manifest["host"]["matches_device"],
                }
            )  # fmt: skip
            self.phases.append(own | cost | {"phase": "train", "start_s": 0.0, "end_s": value / 20})
            self.phases.append(own | {"phase": "evaluate", "time_s": 1.0, "energy_j": 5.0})
        return self

    def _matrix(self) -> Iterator[tuple[str, int, int]]:
        config = self.manifest["config"]
        for seed in config["seeds"]:
            for repeat in range(config["repeats"]):
                for method in config["methods"]:
                    yield method, seed, repeat

    def write(self) -> Path:
        """Write the folder and return it."""
        self.folder.mkdir(parents=True)
        self.manifest["run_id"] = self.folder.name
        (self.folder / "manifest.json").write_text(json.dumps(self.manifest))
        (self.folder / "cells.csv").write_text(csv_text(CELLS, self.rows))
        (self.folder / "phases.csv").write_text(csv_text(PHASE_ROWS, self.phases))
        (self.folder / "metrics.csv").write_text(csv_text(METRICS, self.metrics))
        (self.folder / "events.jsonl").write_text('{"t_s": 0.0, "event": "started"}\n')
        (self.folder / "traces").mkdir()
        for row in self.rows:
            self.trace(row["cell"])
            weights(self.folder / "checkpoints" / row["cell"] / "sdnkt.safetensors")
        return self.folder

    def trace(self, cell: str) -> None:
        """Write a trace of two samples."""
        text = b"t_s,rail,power_w,energy_j\n0.0,package,20.0,0.0\n1.0,package,20.0,20.0\n"
        (self.folder / "traces" / f"{cell}.csv.gz").write_bytes(gzip.compress(text))


def weights(path: Path) -> None:
    """Write one tensor of two floats as the safetensors format has it."""
    head = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(8))


@pytest.fixture
def draft(tmp_path) -> Callable[..., Draft]:
    """Return what begins a run: a name, and changes of sections of its manifest."""

    def begin(name: str = "a-run", **sections: Any) -> Draft:
        begun = Draft(tmp_path / "results" / name)
        for key, change in sections.items():
            old = begun.manifest.get(key)
            begun.manifest[key] = old | change if isinstance(old, dict) and change else change
        return begun

    return begin
