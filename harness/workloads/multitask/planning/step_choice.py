"""Hold how a run executes its training steps, and from what that follows.

The choice holds for all cells of a run and stands in its manifest; a run that goes on keeps it.
`planning.training_setup` chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.workloads.multitask.config import AUTO, MultitaskConfig
from harness.workloads.multitask.planning.batch_fit import BatchFit
from harness.workloads.multitask.planning.data_way import DataWay
from models.execution import PLAIN, Execution, parse_execution

BUSY_CORES = 0.25
"""With more work of others than this, the number of threads is not judged: fewer seem faster."""

COMPILATION = (
    "not used: compiling takes a C++ compiler and minutes on the device, anew for every group of"
    " tasks, which no run of this length gets back"
)


@dataclass(frozen=True)
class StepChoice:
    """Hold how steps are executed, on how many threads, and from what that follows.

    `calibrated` is what was measured, empty if nothing was; `file` keeps it for later runs. `batch`
    is the batch size taken; None as long as nobody asked whether it fits. `checked` is how far ways
    agreed with plain fp32 on a real batch; empty before that, and for plain steps. `data` is how
    images come to a GPU; None on a processor, and as long as the data are not opened.
    """

    execution: Execution
    threads: int
    asked: str
    calibrated: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    batch: BatchFit | None = None
    checked: Mapping[str, Any] = field(default_factory=dict)
    data: DataWay | None = None

    @property
    def refused(self) -> list[str]:
        """Return in words which ways were not taken as they compute something else."""
        return [
            f"{str(way['execution']).replace('+', ', ')} is not taken: under PyTorch"
            f" {self.checked['torch']} it {refusal(way)} ({way['fault']})"
            for way in self.checked.get("ways", ())
            if way["fault"]
        ]

    @property
    def plain(self) -> bool:
        """Say whether steps are executed the plain way."""
        return self.execution == PLAIN

    @property
    def gain(self) -> float | None:
        """Return by what the calibration found steps faster than the plain ones; None without."""
        gain = self.calibrated.get("gain")
        return None if gain is None else float(gain)

    @property
    def doubtful(self) -> bool:
        """Say whether other programs were at work while it was calibrated."""
        return float(self.calibrated.get("foreign_cores") or 0.0) > BUSY_CORES

    def applied_to(self, config: MultitaskConfig) -> MultitaskConfig:
        """Return a configuration with the batch size taken."""
        return replace(config, batch_size=self.batch.taken) if self.batch else config

    def taken_from(self, config: MultitaskConfig) -> MultitaskConfig:
        """Return a configuration with the batch size asked for."""
        return replace(config, batch_size=self.batch.asked) if self.batch else config

    def words(self) -> str:
        """Say how steps are executed, by how much that is faster than plain, and why it is so."""
        words = "plain" if self.plain else self.execution.text.replace("+", ", ")
        words += f", {self.threads} thread{'' if self.threads == 1 else 's'}"
        if self.gain is None:
            return f"{words} (nothing faster was looked for)"
        date = str(self.calibrated.get("made", ""))[:10]
        gain = f"{self.gain:.2f}× the speed of plain" if self.gain != 1.0 else "nothing is faster"
        return f"{words} ({gain}, by a calibration of {date}; manifest: step)"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "execution": self.execution.text,
            "threads": self.threads,
            "asked": self.asked,
            "calibrated": dict(self.calibrated) or None,
            "file": self.file,
            "compilation": COMPILATION,
            "batch": self.batch.as_dict() if self.batch else None,
            "checked": dict(self.checked) or None,
            **({"data": self.data.as_dict()} if self.data else {}),
        }


def refusal(way: Mapping[str, Any]) -> str:
    """Say in what a way that was looked at failed: in what it computes, or in computing at all."""
    compared = way.get("agreement")
    return "computes something else here" if compared else "cannot be executed here"


def recorded_choice(manifest: Mapping[str, Any]) -> StepChoice | None:
    """Return the choice that a manifest tells of; None if it tells of none."""
    told = manifest.get("step")
    if not isinstance(told, dict):
        return None
    try:
        return StepChoice(
            parse_execution(str(told["execution"])),
            int(told["threads"]),
            str(told["asked"]),
            told.get("calibrated") or {},
            str(told.get("file", "")),
            BatchFit(**told["batch"]) if told.get("batch") else None,
            _read_checks(told.get("checked")),
            DataWay(**told["data"]) if told.get("data") else None,
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def _read_checks(told: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return what a manifest tells of checks; empty if it tells of none.

    Raises:
        KeyError, TypeError: if it is nothing of the kind.
    """
    if not told:
        return {}
    return {
        "torch": str(told["torch"]),
        "ways": [
            {**way, "execution": str(way["execution"]), "fault": str(way["fault"])}
            for way in told["ways"]
        ],
    }


def calibrated_choice(calibrated: Mapping[str, Any], file: str) -> StepChoice:
    """Return the choice that follows from a calibration, which a file keeps."""
    execution = parse_execution(str(calibrated["execution"]))
    return StepChoice(execution, int(calibrated["threads"]), AUTO, calibrated, file)
