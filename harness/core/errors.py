"""Hold every fatal error: a code, what happened, what to do about it, and the exit status.

Exit statuses: 0 done, 1 internal error, 2 usage or configuration, 3 device, meter or package
missing or not permitted, 4 finished but unstable, 5 some cells failed, 6 worse than a threshold,
7 results that cannot be read or compared, 8 a budget is reached and the run can go on later,
9 files cannot be written or data cannot be read, 130 interrupted and the run can go on later.

A new error is a class here: a docstring that says what happened, `code`, `exit_status`, `matters`
(why it stops the program) and `usually` (what helps as a rule). The message of each raise names the
very file or value, its remedy the very thing to type. The page docs/errors.md is written from
these classes by `python -m harness.cli.errors_page`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from devices.names import did_you_mean

T = TypeVar("T")

MOST_SHOWN = 80
"""Letters of a path that is too long for any file system."""

MOST_KNOWN = 30
"""Of more names than this only some are listed beside the nearest."""

EXIT_DONE = 0
EXIT_INTERNAL = 1
EXIT_USAGE = 2
EXIT_DEVICE = 3
EXIT_UNSTABLE = 4
EXIT_CELLS_FAILED = 5
EXIT_WORSE = 6
EXIT_UNREADABLE = 7
EXIT_BUDGET = 8
EXIT_FILES = 9
EXIT_INTERRUPTED = 130


class HarnessError(Exception):
    """Report that the program itself is at fault."""

    code: ClassVar[str] = "internal"
    exit_status = EXIT_INTERNAL
    matters: ClassVar[str] = "Results written so far are kept, but the command did not finish."
    usually: ClassVar[str] = "Report it with the whole text that was printed."

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message

    def __reduce__(self) -> tuple[type[HarnessError], tuple[Any, ...]]:
        return type(self), (self.message, self.remedy)

    def shown(self) -> str:
        """Return the error as people see it: message, code, and below what to do about it.

        Without a remedy of its own it is what usually helps.
        """
        return f"{self.message} [{self.code}]\n  {self.remedy or self.usually}"


class UsageError(HarnessError):
    """Report an option, value or combination that makes no sense."""

    code = "usage"
    exit_status = EXIT_USAGE
    matters = "Nothing was started or written."
    usually = "Add --help to the command: it lists every option and its values."


class UnknownNameError(UsageError):
    """Report a name that stands for nothing: of a device, method, meter, option or key."""

    code = "unknown-name"
    matters = "A name that is silently ignored would leave a setting at its default."
    usually = "Take the nearest name that the message offers, or `python -m harness.list devices`."


class StepRefusedError(UsageError):
    """Report that a way of executing steps computes something else than plain fp32 where it trains.

    It was asked for by name, so no other way is taken in its place.
    """

    code = "step-refused"
    matters = "Its gradients are wrong ones, or none; losses need not show it, speed never does."
    usually = (
        "Train with --step plain (where there is --precision: fp32), or under another release of"
        " PyTorch on what the message names: docs/speed.md."
    )


class ConfigChangedError(UsageError):
    """Report that the run named by --resume was begun with other options."""

    code = "config-changed"
    matters = "One run folder holds one configuration; mixed cells could not be compared."
    usually = "Leave out the options that the message names, or start a new run without --resume."


class DeviceMissingError(HarnessError):
    """Report that the host is not the device asked for, or that no profile fits it."""

    code = "device"
    exit_status = EXIT_DEVICE
    matters = "Time and energy would be modelled, and --require-device asked for real ones."
    usually = "Run on that device, or leave out --require-device: `python -m harness.doctor`."


class AcceleratorError(HarnessError):
    """Report that a GPU was asked for and cannot train: no driver, no code for it, hidden, lost."""

    code = "accelerator"
    exit_status = EXIT_DEVICE
    matters = "Training on the processor instead would measure another thing than asked for."
    usually = (
        "`python -m harness.doctor` tries CUDA and says what is missing; `--accelerator cpu` trains"
        " on the processor."
    )


class GpuLostError(AcceleratorError):
    """Report that the GPU failed in the middle of the work: lost, reset, too hot or at fault."""

    code = "gpu-lost"
    matters = (
        "After such a fault a process can use the GPU no more, so the run ends there; a device of a"
        " fleet starts its worker anew."
    )
    usually = (
        "Look at `dmesg` for NVRM or nvgpu, mend heat and supply, then type the same command: it"
        " goes on after the last round that is kept."
    )


class MeterMissingError(HarnessError):
    """Report that no meter can be used although one was asked for or required."""

    code = "meter"
    exit_status = EXIT_DEVICE
    matters = "Energy would be modelled or missing, and a measured figure was asked for."
    usually = (
        "`python -m harness.doctor` prints the permission, the driver or the meter that is missing;"
        " `--meter none` measures time only."
    )


class MissingPackageError(HarnessError):
    """Report that a package that this command needs is not installed."""

    code = "missing-package"
    exit_status = EXIT_DEVICE
    matters = "Boards need the PyTorch build of their vendor; any other may not use the device."
    usually = "`make run` installs everything; `python -m harness.doctor` names a board's build."


class BoardPythonError(HarnessError):
    """Report that the Python named by --board-python cannot train: absent, too bare, or failed."""

    code = "board-python"
    exit_status = EXIT_DEVICE
    matters = "Training in this program instead would measure another PyTorch than asked for."
    usually = (
        "Try it by itself: `PYTHON -c 'import torch, numpy, dataclasses; print(torch.__version__)'`"
        "; docs/jetson-nano.md says what each JetPack needs."
    )


class StorageError(HarnessError):
    """Report that files cannot be written: no permission, read-only, or the disk is failing."""

    code = "storage"
    exit_status = EXIT_FILES
    matters = "Results would be lost. What was written before is whole and can be gone on with."
    usually = "Mend the cause and type the same command, or choose another folder with --out DIR."


class DiskFullError(StorageError):
    """Report that the disk is full, or has too little room for what is to come."""

    code = "disk-full"
    usually = "Free some space and type the same command, or choose another disk with --out DIR."


class BusyError(HarnessError):
    """Report that another run is going on where this one would be."""

    code = "busy"
    exit_status = EXIT_FILES
    matters = "Two runs at once would spoil each other's times and joules."
    usually = "Wait until the other run is done."


class DamagedRunError(HarnessError):
    """Report that a file of a run folder is not what was written, or is missing."""

    code = "damaged"
    exit_status = EXIT_UNREADABLE
    matters = "Figures would rest on something else than what was measured."
    usually = "Restore the file from a copy of the run; --fresh starts anew."


class NotComparableError(HarnessError):
    """Report that two runs, or two figures of them, do not say anything about each other."""

    code = "not-comparable"
    exit_status = EXIT_UNREADABLE
    matters = "A ratio would mix the difference asked about with others."
    usually = "Measure both with the same device, power mode, meter, data and configuration."


class DataError(HarnessError):
    """Report data that are missing, damaged, unlabelled or cannot be made."""

    code = "data"
    exit_status = EXIT_FILES
    matters = "Training on broken data gives losses that look sound."
    usually = "`python -m harness.data info --verify` examines a data set; make or import it again."


class DataUsageError(DataError):
    """Report a data set that is not here, or a request that makes no sense whatever is here."""

    code = "data-usage"
    exit_status = EXIT_USAGE
    matters = "Nothing was started or written."
    usually = "`python -m harness.list datasets` shows what is here and how to import the rest."


class MemoryExceededError(HarnessError):
    """Report that training needs more memory than the device has."""

    code = "memory"
    exit_status = EXIT_USAGE
    matters = (
        "The cell fails and says so; the other cells go on. Where a GPU trains the run stops: a"
        " smaller batch from there on would make its methods unlike."
    )
    usually = "Lower --batch-size or --size."


class DivergedError(HarnessError):
    """Report a loss that is no longer a finite number; it names task, round and client."""

    code = "diverged"
    exit_status = EXIT_CELLS_FAILED
    matters = "The model is lost. The cell fails and says so; the other cells go on."
    usually = "Lower --learning-rate; `harness.data info --verify` if one client is named alone."


class InferenceFailedError(HarnessError):
    """Report that a trained model cannot be exported, loaded or run, or answers otherwise."""

    code = "inference"
    exit_status = EXIT_CELLS_FAILED
    matters = "Figures would be those of another model. This one fails; the others go on."
    usually = "Compare the versions of torch, onnx and onnxruntime with constraints.txt."


class FleetError(HarnessError):
    """Report that devices, or what is between them and the server, do not do what a run needs."""

    code = "fleet"
    exit_status = EXIT_DEVICE
    matters = "A device that trains on other data, or another release, spoils every average."
    usually = "The text names the device and what to type there; `docs/fleet.md` has the rest."


class RefusedError(HarnessError):
    """Report an answer of a device, or a request to it, that cannot be used."""

    code = "refused"
    exit_status = EXIT_CELLS_FAILED
    matters = "Values that are not finite, or of another shape, would spoil the model of all."
    usually = "Install the same release everywhere; lower --learning-rate if all devices diverge."


class SeveralProblems(HarnessError):  # noqa: N818 - it holds errors, it is none of its own
    """Report all problems of a start at once; the status is the first one's."""

    code = "several"
    matters = "Each problem is listed with a code of its own."
    usually = "Mend them one after another; nothing was started or written."

    def __init__(self, problems: Sequence[HarnessError]) -> None:
        super().__init__("\n".join(f"{i}. {p}" for i, p in enumerate(problems, 1)))
        self.problems = tuple(problems)
        self.exit_status = problems[0].exit_status

    def __reduce__(self) -> tuple[type[HarnessError], tuple[Any, ...]]:
        return type(self), (self.problems,)

    def shown(self) -> str:
        """Return the problems, numbered, each with its own code."""
        numbered = (f"{i}. {p.shown()}" for i, p in enumerate(self.problems, 1))
        return f"{len(self.problems)} problems [{self.code}]\n" + "\n".join(numbered)


@dataclass(frozen=True)
class Stop:
    """Hold an end of the program that no exception of this module stands for."""

    code: str
    exit_status: int
    meaning: str
    matters: str
    usually: str


STOPS = (
    Stop(
        "old-python", EXIT_USAGE, "Python is older than 3.10.",
        "The program cannot be read by it, so this is found before anything else.",
        "On a Jetson with JetPack 4 or 5 use the container: docs/jetson-nano.md.",
    ),
    Stop(
        "unstable", EXIT_UNSTABLE, "`harness.check` found a run incomplete or unstable.",
        "Its figures are not fit for a paper.", "Each finding carries its own remedy.",
    ),
    Stop(
        "cells-failed", EXIT_CELLS_FAILED, "A run ended, but some of its cells failed.",
        "Their rows say `failed` and why; all other cells are whole.",
        "Mend the cause that the row names, then run again with --fresh.",
    ),
    Stop(
        "worse", EXIT_WORSE, "`harness.compare` found B worse than the threshold allows.",
        "Only a threshold that you gave is judged.", "Read the ratio and its interval.",
    ),
    Stop(
        "budget", EXIT_BUDGET, "--max-time or --max-energy is reached.",
        "The run stopped at a round's end and can go on.", "Type the same command again.",
    ),
    Stop(
        "interrupted", EXIT_INTERRUPTED, "Ctrl-C or SIGTERM ended the run.",
        "All files are readable; the round that was broken off is measured anew.",
        "Type the same command again.",
    ),
)  # fmt: skip
"""Ends of a command that are no errors of it, but have a status that others can test for."""


def trouble_with_files(error: OSError) -> HarnessError | None:
    """Return the error for a file or folder that cannot be; None for any other trouble.

    It is one of the user's for a path that no file system can hold.
    """
    why = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"{error.filename or 'a file'} cannot be written: {why}")
    if error.filename is None:
        return None
    path = str(error.filename)
    shown = path if len(path) <= MOST_SHOWN else f"{path[:MOST_SHOWN]}…"
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return UsageError(
            f"{shown}: {why}",
            "A name has at most 255 bytes, a path 4096, and links must not lead in a circle.",
        )
    return StorageError(f"{shown}: {why}")


def unknown(kind: str, word: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for an unknown name: the wrong word, the nearest right one, the list."""
    names = list(known)
    hint = did_you_mean(word, names)
    shown = names if len(names) <= MOST_KNOWN or not hint else names[: MOST_KNOWN // 2]
    more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    listed = f"Known: {', '.join(shown)}{more}"
    return UnknownNameError(f"unknown {kind} '{word}'", hint + listed)


class Problems:
    """Collect what is wrong, so that it can be told at once."""

    def __init__(self) -> None:
        self.found: list[HarnessError] = []

    def attempt(self, action: Callable[[], T]) -> T | None:
        """Return what an action gives; None if it fails, the problem then being kept."""
        try:
            return action()
        except SeveralProblems as error:
            self.found += error.problems
        except HarnessError as error:
            self.found.append(error)
        return None


def first_line(error: Exception) -> str:
    """Return the first line of what a library says went wrong; some say nothing."""
    return (str(error).splitlines() or ["it fails"])[0]


def raise_all(problems: Sequence[HarnessError]) -> None:
    """Raise nothing, the only problem, or all of them together."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise SeveralProblems(problems)


def catalogue() -> list[type[HarnessError]]:
    """Return every class of error, by exit status and code."""
    found: list[type[HarnessError]] = [HarnessError]
    for kind in found:
        found += [c for c in kind.__subclasses__() if c not in found]
    return sorted(found, key=lambda c: (c.exit_status, c.code))
