"""Try mutated inputs on every parser and say what crashed or was invented.

`python -m tests.fuzz [--inputs N] [--seed S] [--only WORDS]`; the same seed tries the same inputs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.fuzz import devices, harness, runs
from tests.fuzz.mutation import mutated
from tests.fuzz.target import Target

INPUTS = 200_000
MOST_SHOWN = 3


def all_targets(folder: Path) -> Iterator[Target]:
    """Yield the targets of all packages; files of theirs lie in folders below one."""
    for number, package in enumerate((devices, harness, runs)):
        place = folder / str(number)
        place.mkdir()
        yield from package.targets(place)


def shares(targets: Sequence[Target], inputs: int) -> list[int]:
    """Return how many of all inputs each target gets, at least one."""
    total = sum(target.weight for target in targets)
    return [max(1, round(inputs * target.weight / total)) for target in targets]


def fuzz(target: Target, inputs: int, seed: int) -> dict[str, bytes]:
    """Return what went wrong by its words, with an input that shows it; sound ones come first."""
    rng = random.Random(f"{seed} {target.name}")
    found: dict[str, bytes] = {}
    tried = [*target.seeds[:inputs]]
    for number in range(inputs):
        content = tried[number] if number < len(tried) else mutated(rng, target.seeds)
        trouble = target.trouble(content)
        if trouble:
            found.setdefault(trouble, content)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Run all targets and return 1 if one was troubled."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS, help="in all [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="[%(default)s]")
    parser.add_argument("--only", default="", help="targets whose name holds these words")
    asked = parser.parse_args(words)
    warnings.simplefilter("ignore")
    troubled, tried = 0, 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        targets = [t for t in all_targets(Path(folder)) if asked.only in t.name]
        for target, count in zip(targets, shares(targets, asked.inputs), strict=True):
            began_s = time.process_time()
            with contextlib.redirect_stderr(io.StringIO()):
                found = fuzz(target, count, asked.seed)
            tried += count
            took_s = time.process_time() - began_s
            print(f"{count:7d}  {took_s:6.1f} s  {target.name}", flush=True)
            for trouble, content in list(found.items())[:MOST_SHOWN]:
                print(f"         {trouble}\n         {content[:300]!r}")
            troubled += bool(found)
    print(f"{tried} inputs, {len(targets)} parsers, {troubled} in trouble")
    return 1 if troubled else 0


if __name__ == "__main__":
    sys.exit(main())
