"""Judge a run: complete, valid, stable, and what may be claimed with it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.core.errors import DamagedRunError, SeveralProblems
from harness.evidence.cell_flags import AGAIN
from harness.evidence.claims import claims
from harness.evidence.completeness import completeness
from harness.evidence.device_steps import device_steps
from harness.evidence.findings import LEVELS, Finding, verdict
from harness.evidence.outside import from_outside
from harness.evidence.own_files import damaged_own_files, workload_of
from harness.evidence.reading import RunFiles, read_run
from harness.evidence.stability import SPREAD_LIMIT, stability

AGAIN_MEASURED = "then measure again."
"""What `AGAIN` is of a program of somebody's own, which has no --fresh."""


@dataclass(frozen=True)
class Judgement:
    """Hold what was found of one run; `run` is None if its files could not even be read."""

    folder: Path
    run: RunFiles | None
    findings: Sequence[Finding]

    @property
    def size(self) -> str:
        """Return how much of its matrix the run has, in words."""
        if self.run is None:
            return "cannot be read"
        counts = Counter(str(row["status"]) for row in self.run.cells)
        config = self.run.section("config")
        dims = {
            "method": len(config["methods"]), "seed": len(config["seeds"]),
            "repeat": int(config["repeats"]),
        }  # fmt: skip
        cells = math.prod(dims.values())
        if self.run.is_measured:
            dims = {"command": dims["method"], "run": dims["repeat"]}
        matrix = " × ".join(f"{n} {word}{'' if n == 1 else 's'}" for word, n in dims.items())
        return f"{counts['done']} of {cells} cells done; {matrix}"

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON shows."""
        return {
            "run": self.folder.name,
            "verdict": verdict(self.findings),
            "size": self.size,
            "findings": [dict(vars(finding)) for finding in self.findings],
        }


def judge(folder: Path, spread_limit: float = SPREAD_LIMIT) -> Judgement:
    """Read a run and return all that was found, the worst first; damage is a finding too."""
    try:
        run = read_run(folder)
        found = [
            *completeness(run),
            *stability(run, spread_limit),
            *device_steps(run),
            *_of_workload(run),
            *claims(run),
            *from_outside(run),
        ]
    except DamagedRunError as error:
        return Judgement(folder, None, [_damage(error)])
    except SeveralProblems as error:
        return Judgement(folder, None, [_damage(problem) for problem in error.problems])
    if run.is_measured:
        found = [replace(f, remedy=f.remedy.replace(AGAIN, AGAIN_MEASURED)) for f in found]
    return Judgement(folder, run, sorted(found, key=lambda finding: LEVELS.index(finding.level)))


def _of_workload(run: RunFiles) -> Iterator[Finding]:
    """Yield what the run's own workload finds beside what all runs have."""
    workload = workload_of(run)
    if workload is not None:
        yield from damaged_own_files(run)
        yield from workload.findings(run)


def _damage(error: Exception) -> Finding:
    message, remedy = getattr(error, "message", str(error)), getattr(error, "remedy", "")
    return Finding("damaged", "damaged", message, remedy)
