"""Write the reference page of errors: python -m harness.cli.errors_page > docs/errors.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from harness.core.errors import STOPS, HarnessError, catalogue
from harness.evidence.cell_flags import FLAGS, SPOILT_WINDOW

INTRODUCTION = """# Errors

Written by `python -m harness.cli.errors_page` from `harness/core/errors.py`.

Every error is printed on stderr as

```
error: what happened, naming the file or value [code]
  what to type or do
```

and ends the command with the exit status given here. All problems of a start are reported at once;
each has its own code and the status is the first one's. A cell that fails within a run does not end
it: its row in `cells.csv` has status `failed`, the code and the reason, and the other cells go on.
"""

FLAGS_INTRODUCTION = """## Flags of cells

These end nothing: they stand in the column `flags` of `cells.csv` (windows: of `phases.csv`), and
`python -m harness.check` says them with their remedy. *unstable* makes `check` end with status 4,
a *note* is only for reading. A flag that begins with `maybe-` says that the board had already
reported the event before the cell, so that a new one would not show.

| flag | level | what it says | what to do |
|---|---|---|---|
"""

WINDOW_REMEDY = "`python -m harness.doctor` examines the meter; then measure anew with --fresh."


def page() -> str:
    """Return the reference page as Markdown."""
    entries = "\n\n".join(_entries())
    return f"{INTRODUCTION}\n{entries}\n\n{FLAGS_INTRODUCTION}" + "\n".join(_flags()) + "\n"


def _entries() -> Iterator[str]:
    of_classes = [(c.exit_status, c.code, _meaning(c), c.matters, c.usually) for c in catalogue()]
    of_stops = [(s.exit_status, s.code, s.meaning, s.matters, s.usually) for s in STOPS]
    for status, code, meaning, matters, usually in sorted(of_classes + of_stops):
        yield (
            f"## {code}\n\nExit status {status}. {meaning}\n\n"
            f"- Why it matters: {matters}\n- What to do: {usually}"
        )


def _meaning(kind: type[HarnessError]) -> str:
    """Return what happened, from the docstring: it begins with what the class does."""
    text = " ".join((kind.__doc__ or "").split()).removeprefix("Report ").removeprefix("that ")
    return text[:1].upper() + text[1:]


def _flags() -> Iterator[str]:
    for flag, (level, meaning, remedy) in FLAGS.items():
        yield f"| `{flag}` | {level} | {meaning} | {remedy} |"
    for flag, meaning in SPOILT_WINDOW.items():
        yield f"| `{flag}` | unstable | {meaning} | {WINDOW_REMEDY} |"


if __name__ == "__main__":
    sys.stdout.write(page())
