"""Run every check on this machine's GPU and write the figures into docs/gpu.md: make gpu-check.

Status 0 if all hold, 1 if one fails, 3 if no GPU computes here; then nothing is measured or
written. Ten minutes at most: what is left when they are over is named as not run.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from devices.accelerator import GPU, Accelerator
from devices.cuda_probe import CudaProbe, cuda_here
from tests.gpu.checks import CHECKS, Check
from tests.gpu.failing import CheckFailedError

PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"
BEGIN, END = "<!-- figures of gpu-check: begin -->", "<!-- figures of gpu-check: end -->"
WHOLE_S = 600.0

Clock = Callable[[], float]


def carry_out(
    card: Accelerator, checks: Sequence[Check], clock: Clock = time.monotonic
) -> tuple[list[str], bool]:
    """Return the lines of the tables, and whether all checks held."""
    lines, held, begun_s = [], True, clock()
    for check in checks:
        lines += ["", f"### {check.title}", ""]
        if clock() - begun_s + check.limit_s > WHOLE_S:
            lines.append("Not run: the ten minutes were over.")
            held = False
            continue
        try:
            rows = check.run(card)
        except CheckFailedError as error:
            lines.append(f"**Failed:** {error}.")
            held = False
            continue
        except Exception as error:  # one check that breaks must not hide the others
            lines.append(f"**Failed:** {type(error).__name__}: {str(error).splitlines()[0]}.")
            held = False
            continue
        lines += ["| what | figure | asked for |", "|---|---|---|"]
        lines += [f"| {what} | {figure} | {asked or '–'} |" for what, figure, asked in rows]
    return lines, held


def heading(card: Accelerator, day: dt.date) -> list[str]:
    """Return what the figures are of."""
    memory = f", {card.memory_bytes / 2**30:.1f} GiB" if card.memory_bytes else ""
    return [
        f"## Figures of {card.name}",
        "",
        f"Written by `make gpu-check` on {day.isoformat()}: {card.name}, compute capability"
        f" {card.capability}{memory}, CUDA {card.cuda}, PyTorch {card.torch}.",
    ]


def written(page: str, lines: Sequence[str]) -> str:
    """Return the page with these lines between its marks.

    Raises:
        ValueError: if it has no marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no place for figures: {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}"


def main(probe: Callable[[], CudaProbe] = cuda_here, page: Path = PAGE) -> int:
    """Run the checks; return the exit status."""
    found = probe()
    if found.gpu is None:
        print(f"Not run, nothing was measured: {found.fault}.\n  {found.fix}", file=sys.stderr)
        return 3
    from harness.running.accelerator import prepare  # noqa: PLC0415 - only where a GPU is

    prepare(GPU)
    lines, held = carry_out(found.gpu, CHECKS)
    lines = [*heading(found.gpu, dt.datetime.now(dt.timezone.utc).date()), *lines]
    page.write_text(written(page.read_text(encoding="utf-8"), lines), encoding="utf-8")
    print("\n".join(lines))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
