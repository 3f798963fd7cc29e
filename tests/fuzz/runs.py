"""Targets that are whole commands' work: a run folder or a board's tree with one file bent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devices.inspection import inspect_meter
from harness.evidence.findings import exit_status, verdict
from harness.evidence.judging import judge
from tests.fuzz.target import Target

RUN = Path(__file__).parents[1] / "fixtures" / "runs" / "schema2"
BOARDS = Path(__file__).parents[1] / "fixtures" / "boards"
MOST_W = 5_000.0
"""No board of the fixtures, and nothing on a desk, draws more."""


def targets(folder: Path) -> Iterator[Target]:
    """Yield the targets; each has a copy of a run, or of a board's files, of its own."""
    for name in ("manifest.json", "cells.csv", "phases.csv", "metrics.csv", "events.jsonl"):
        yield _run(folder / name.partition(".")[0], name)
    for board, meter, file in (
        ("jetson-orin-nano-rails", "ina3221", "in1_input"),
        ("jetson-nano-rails", "ina3221", "in_power0_input"),
        ("intel-i7-7700k", "rapl", "energy_uj"),
    ):
        yield from _board(folder / f"{board}-{meter}", board, meter, file)


def _run(folder: Path, name: str) -> Target:
    top = Path(shutil.copytree(RUN, folder))

    def check(content: bytes) -> Any:
        (top / name).write_bytes(content)
        found = judge(top)
        return exit_status(found.findings), verdict(found.findings), found.as_dict()

    sound = [(RUN / name).read_bytes()]
    return Target(f"check of a run with another {name}", sound, check, weight=0.3)


def _board(folder: Path, board: str, meter: str, wanted: str) -> Iterator[Target]:
    """Bend one file of a board and examine the meter, as the doctor does."""
    seeds: dict[Path, bytes] = {}
    for line in (BOARDS / f"{board}.tsv").read_text("utf-8").splitlines():
        path, _, content = line.partition("\t")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content.replace("\\n", "\n").replace("\\0", "\0"))
        if target.name == wanted:
            seeds[target] = target.read_bytes()
    bent = next(iter(seeds))

    def examine(content: bytes) -> Any:
        bent.write_bytes(content)
        return inspect_meter(meter, folder, sleep=lambda _: None)

    def judge_power(_: bytes, report: Any) -> str:
        power = report.power_w
        return "" if power is None or 0.0 <= abs(power) <= MOST_W else f"{power} W of no such board"

    yield Target(f"{meter} of {board} with another {wanted}", list(seeds.values()), examine,
                 judge=judge_power, weight=0.1)  # fmt: skip
