"""Write figures to files; many of them by several processes, since each takes half a second.

The helpers are plain child processes that read their share from standard input, and not a pool of
`multiprocessing`, because that would run the caller's own script again.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from matplotlib import style

from analysis.core.figures.drawing import Drawing
from analysis.core.style import figure_style, new_figure, save_figure
from analysis.core.venues import venue_width_in
from devices import extensions

FEW_FIGURES = 16
"""Up to so many figures starting another process costs more than it saves."""

MOST_PROCESSES = 4
ENDINGS = (".pdf", ".png", ".csv")


def write_figures(drawings: Sequence[Drawing], folder: Path, venue: str) -> list[list[Path]]:
    """Write PDF, PNG and CSV of every drawing and return their paths.

    Raises:
        subprocess.CalledProcessError: if a helper fails; what it said is on standard error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    helpers = min(os.cpu_count() or 1, MOST_PROCESSES) - 1 if len(drawings) > FEW_FIGURES else 0
    shares = [list(drawings[number :: helpers + 1]) for number in range(helpers + 1)]
    started = [_start(share, folder, venue) for share in shares[1:]]
    try:
        for drawing in shares[0]:
            write_figure(drawing, folder, venue)
        for process in started:
            if process.wait() != 0:
                raise subprocess.CalledProcessError(process.returncode, process.args)
    finally:
        for process in started:
            process.kill()
            process.wait()
    return [[folder / (drawing.stem + ending) for ending in ENDINGS] for drawing in drawings]


def write_figure(drawing: Drawing, folder: Path, venue: str) -> None:
    """Write one drawing in the style of all figures."""
    with style.context(["default", figure_style()]):
        figure = new_figure(venue, drawing.aspect, drawing.note)
        drawing.paint(figure, venue_width_in(venue))
        save_figure(figure, folder / drawing.stem, drawing.drawn)


def main() -> int:
    """Write the drawings that the parent sends."""
    extensions.offers("figures")  # loads the files that drawings from outside are made by
    drawings, folder, venue = pickle.load(sys.stdin.buffer)
    for drawing in drawings:
        write_figure(drawing, folder, venue)
    return 0


def _start(drawings: Sequence[Drawing], folder: Path, venue: str) -> subprocess.Popen[bytes]:
    """Start a helper with the caller's import path and hand it its share."""
    here = str(Path.cwd())
    paths = os.pathsep.join(path or here for path in sys.path)
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}
    with tempfile.TemporaryFile() as share:  # a pipe would hold the parent up until it is read
        pickle.dump((list(drawings), folder.resolve(), venue), share)
        share.seek(0)
        command = [sys.executable, "-m", "analysis.core.figures.writing"]
        return subprocess.Popen(
            command, stdin=share, env=environment, cwd=Path(__file__).parents[2]
        )


if __name__ == "__main__":
    raise SystemExit(main())
