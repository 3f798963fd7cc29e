"""Hold what `harness.infer` is asked to do, and read its options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.config import parse_seeds, split_list
from harness.core.errors import UsageError, unknown
from harness.workloads.multitask.inference.providers import PROVIDERS

METER_TIMES = 10.0
"""A window is never shorter than so many times what the meter averages, or samples, over."""

RUNTIMES = ("onnxruntime", "torch")
PRECISIONS = ("fp32", "int8")
SINGLE_STREAM, OFFLINE = "single-stream", "offline"

AUTO = "auto"
ALL = "all"
MOST_BATCH = 4096


@dataclass(frozen=True)
class InferenceSettings:
    """Say which models are measured and how; empty tuples mean what is usual here.

    Attributes:
        methods: Methods of the run, with or without parameters; empty for all.
        seeds: Learning seeds; empty for the first of the run, None for all.
        precisions: Of `PRECISIONS`.
        runtimes: Of `RUNTIMES`.
        providers: Execution providers of ONNX Runtime; empty for those that the device should have.
        threads: Numbers of threads; empty for one and for all.
        batches: Batch sizes of the offline scenario.
        window_s: Least length of a window; 0 for 2 s or what the meter needs, if that is more.
        queries: Least number of queries in a single-stream window.
        warm_up_s: Length of the warm-up before each window, which is thrown away.
        calibration_images: Training images that int8 scales are found on.
        fresh: Throw away what is there and begin anew.
        quick: A short try, not for publication.
    """

    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = ()
    precisions: tuple[str, ...] = PRECISIONS
    runtimes: tuple[str, ...] = RUNTIMES
    providers: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    batches: tuple[int, ...] = (1, 8, 32)
    window_s: float = 0.0
    queries: int = 64
    warm_up_s: float = 0.5
    calibration_images: int = 64
    fresh: bool = False
    quick: bool = False


QUICK_BATCHES = (1, 8)
QUICK_WINDOW_S = 0.2
QUICK_QUERIES = 16
QUICK_WARM_UP_S = 0.1
DEFAULT_WINDOW_S = 2.0


def names(option: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Read a list of names.

    Raises:
        UsageError: if one is unknown, naming the nearest, or the list is empty or repeats one.
    """
    found = tuple(piece.strip() for piece in text.split(",") if piece.strip())
    for name in found:
        if name not in known:
            raise unknown(option.lstrip("-").rstrip("s").replace("-", " "), name, known)
    if not found or len(set(found)) != len(found):
        raise UsageError(f"{option}: '{text}' must name one or more, each once")
    return found


def numbers(option: str, text: str, most: int) -> tuple[int, ...]:
    """Read a list of whole numbers from 1 to `most`, as in 1,8,32.

    Raises:
        UsageError: if it is none.
    """
    try:
        found = tuple(int(piece) for piece in text.split(","))
    except ValueError:
        found = ()
    if not found or len(set(found)) != len(found) or not 1 <= min(found) <= max(found) <= most:
        raise UsageError(
            f"{option}: cannot read '{text}'",
            f"Give different whole numbers from 1 to {most}, as in {option} 1,{min(8, most)}"
            if most > 1
            else f"There is one core to use: {option} 1",
        )
    return found


def seconds(option: str, text: str, least: float) -> float:
    """Read seconds.

    Raises:
        UsageError: if they are no finite number, or less than `least`.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        raise UsageError(f"{option}: cannot read '{text}'", f"Give seconds, {least:g} or more.")
    return value


def count(option: str, text: str) -> int:
    """Read a whole number from 1 on.

    Raises:
        UsageError: if it is none.
    """
    (value,) = numbers(option, text, 1_000_000) if "," not in text else (0,)
    if value < 1:
        raise UsageError(f"{option}: cannot read '{text}'", "Give one whole number.")
    return value


def methods(text: str | None) -> tuple[str, ...]:
    """Read a list of methods as `harness.run` does; their names are checked against the run."""
    return tuple(split_list(text)) if text else ()


def seeds(text: str | None) -> tuple[int, ...] | None:
    """Read seeds, or the word for all of them.

    Raises:
        UsageError: if they are no whole numbers.
    """
    if text is None:
        return ()
    if text == ALL:
        return None
    try:
        return parse_seeds(text)
    except ValueError as error:
        raise UsageError(f"--seeds: cannot read '{text}': {error}") from None


def providers(text: str | None) -> tuple[str, ...]:
    """Read names of execution providers, or `auto`.

    Raises:
        UsageError: if one is unknown.
    """
    if text in (None, AUTO):
        return ()
    return names("--providers", str(text), tuple(PROVIDERS))


def window_s(asked_s: float, meter_s: float, *, quick: bool) -> float:
    """Return how long a window is.

    Args:
        asked_s: Seconds asked for, 0 if none were.
        meter_s: Time the meter averages or samples over, the longer of the two; 0 without a meter.
        quick: Whether this is a short try.

    Raises:
        UsageError: if that is too short for the meter.
    """
    least_s = METER_TIMES * meter_s
    if asked_s and asked_s < least_s:
        raise UsageError(
            f"--window {asked_s:g} is too short: this meter needs {least_s:g} s,"
            f" {METER_TIMES:g} times the {meter_s:g} s it averages or samples over",
            f"Give --window {least_s:g} or more, or leave it out.",
        )
    return asked_s or max(QUICK_WINDOW_S if quick else DEFAULT_WINDOW_S, least_s)
