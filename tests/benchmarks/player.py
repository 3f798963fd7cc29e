"""Play waves into files, as hardware does: python -m tests.benchmarks.player ORIGIN FILE=SOURCE…

SOURCE is `counter:SHAPE:RANGE_UJ:START_UJ` or `sensor:SHAPE:BLOCK_S`. Every file must exist with
its final length; it is kept open and rewritten in place, since readers keep it open too. Time 0 of
the waves is ORIGIN on the monotonic clock.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.waves import WAVES, AveragingSensor, EnergyCounter

STEP_S = 0.001
"""RAPL counters move about every millisecond."""

Source = EnergyCounter | AveragingSensor


def parse_source(text: str) -> Source:
    """Read a source as the command line gives it."""
    kind, shape, *numbers = text.split(":")
    wave = next(wave for wave in WAVES if wave.shape == shape)
    if kind == "counter":
        return EnergyCounter(wave, int(numbers[0]), int(numbers[1]))
    return AveragingSensor(wave, float(numbers[0]))


def play(
    files: Sequence[tuple[Path, Source]],
    now: Callable[[], float],
    sleep: Callable[[float], object],
    keep_going: Callable[[], bool],
) -> None:
    """Write what every source shows, each step of time, until told to stop."""
    with contextlib.ExitStack() as stack:
        playing = []
        for path, source in files:
            descriptor = os.open(path, os.O_WRONLY)
            stack.callback(os.close, descriptor)
            playing.append((descriptor, source))
        shown = [""] * len(playing)
        while keep_going():
            for index, (descriptor, source) in enumerate(playing):
                text = source.text(now())
                if text != shown[index]:
                    os.pwrite(descriptor, text.encode(), 0)
                    shown[index] = text
            sleep(STEP_S)


def become_hardware() -> bool:
    """Ask not to be delayed by programs, as hardware is not; False if that is not allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except OSError:
        return False
    return True


def main(words: Sequence[str]) -> None:
    """Play until the parent is gone or ends this process."""
    origin_s = float(words[0])
    pairs = [word.split("=", 1) for word in words[1:]]
    files = [(Path(path), parse_source(source)) for path, source in pairs]
    parent = os.getppid()
    become_hardware()
    play(
        files,
        now=lambda: time.monotonic() - origin_s,
        sleep=time.sleep,
        keep_going=lambda: os.getppid() == parent,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
