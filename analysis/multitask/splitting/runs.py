"""Make the runs of the map that are not there yet, each by the command that makes any run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.multitask.splitting.points import COMMON, PARTS, STUDY, Point
from harness.core.clean_text import say
from harness.core.errors import DamagedRunError, UsageError
from harness.core.guarded_folder import read_object
from harness.core.locks import held
from harness.core.shell_words import typed_words

MODULE = "harness.run"
ELSEWHERE = ("--out", "--cache")
"""Options that say where things lie and not what is trained."""


@dataclass(frozen=True)
class StudyRun:
    """Name one run of the map: a point, a part of its methods and a seed."""

    point: Point
    part: str
    seed: int

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the methods that it trains."""
        return PARTS[self.part]

    def folder(self, study: Path) -> Path:
        """Return the folder that its run folder is made in."""
        return study / self.point.name / f"{self.part}-s{self.seed}"

    def words(self, study: Path) -> list[str]:
        """Return the options of `harness.run`; only the end of the last round is tested."""
        return [
            "--seeds", str(self.seed), "--methods", ",".join(self.methods),
            "--evaluate-every", str(self.point.rounds), *self.point.options, *COMMON,
            "--out", str(self.folder(study)),
        ]  # fmt: skip

    def finished(self, study: Path) -> Path | None:
        """Return its run folder, if a run with just these options is done."""
        own = self.begun(study)
        return own if own is not None and _manifest(own).get("status") == "done" else None

    def begun(self, study: Path) -> Path | None:
        """Return the run folder with just these options: one that is done, else the newest."""
        asked = given(self.words(study))
        found = []
        for path in sorted(self.folder(study).glob("*/manifest.json")):
            manifest = _manifest(path.parent)
            words = typed_words(str(manifest.get("command", "")), MODULE)
            if given(words) == asked:
                found.append((manifest.get("status") == "done", path.parent))
        return max(found)[1] if found else None


def given(words: Sequence[str]) -> dict[str, str]:
    """Return what options say, in whatever order they were typed, but for places of files."""
    found: dict[str, str] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name = word
            found[name] = ""
        else:
            found[name] = word
    return {name: value for name, value in found.items() if name not in ELSEWHERE}


def _manifest(folder: Path) -> Mapping[str, Any]:
    try:
        return read_object(folder / "manifest.json")
    except (DamagedRunError, OSError, ValueError):
        return {}


def runs(points: Sequence[Point] = STUDY, only: str = "") -> list[StudyRun]:
    """Return the runs in the order in which they are worth most: first three seeds of each point.

    Oracles of long runs come last, as each costs as much as five other methods together. `only` is
    a pattern in the name of a point, a space and the name of a part.

    Raises:
        UsageError: if it is no regular expression, or in no name.
    """
    try:
        wanted = re.compile(only)
    except re.error as error:
        raise UsageError(f"--only '{only}' is no pattern: {error}", "Write \\[ for a [.") from None
    every = [
        StudyRun(point, part, seed)
        for point in points
        for part, seeds in point.seeds.items()
        if wanted.search(f"{point.name} {part}")
        for seed in seeds
    ]
    if not every:
        names = dict.fromkeys(point.name for point in points)
        text = f"--only '{only}' is in the name of no point and part"
        raise UsageError(text, f"Points: {', '.join(names)}. Parts: {', '.join(PARTS)}.")
    return sorted(every, key=lambda run: (run.part == "oracles", run.seed > 2))


def make_missing(study: Path, planned: Sequence[StudyRun]) -> Iterator[int]:
    """Make each run that is neither finished nor made by another process; yield how it ended.

    Raises:
        StorageError: if its file system has no locks.
    """
    for number, run in enumerate(planned, 1):
        folder = run.folder(study)
        name = f"{run.point.name} {run.part} seed {run.seed}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with held(folder / "making.lock"):
                if run.finished(study) is None:
                    say(f"{number} of {len(planned)}: {name}")
                    yield _make(run, study)
        except BlockingIOError:
            say(f"{number} of {len(planned)}: {name} is being made by another process")


def _make(run: StudyRun, study: Path) -> int:
    """Run the command and return its status; what it says is kept beside the run folder."""
    command = [sys.executable, "-m", MODULE, *run.words(study)]
    with (run.folder(study) / "screen.txt").open("w", encoding="utf-8") as screen:
        status = subprocess.run(command, stdout=screen, stderr=screen, check=False).returncode
    if status != 0:
        say(f"  ended with status {status}: {screen.name}", sys.stderr)
    return status
