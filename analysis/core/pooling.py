"""Put runs together that belong together, and say which facts keep the others apart.

Runs that agree in every fact of `harness.evidence.comparable`, those that `compare` only notes
included, are one series: they may differ in seeds, methods and repeats. A seed that two of them
have becomes a repeat, for it is the same training measured again. Nothing else is averaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from analysis.core.loading import Run
from analysis.core.manifest import Manifest
from harness.evidence.comparable import apart
from harness.evidence.yardstick import TURN


def pool(runs: Sequence[Run]) -> list[Run]:
    """Return one run per series, in the order of the first run of each."""
    series: list[list[Run]] = []
    for run in runs:
        for own in series:
            if not apart(own[0].manifest.raw, run.manifest.raw):
                own.append(run)
                break
        else:
            series.append([run])
    return [own[0] if len(own) == 1 else _joined(own) for own in series]


def _joined(runs: Sequence[Run]) -> Run:
    """Return several runs as one; cells carry their run in their name."""
    origins: dict[str, tuple[Path, str]] = {}
    cells, metrics, phases = [], [], []
    for run in runs:
        names = {str(cell): f"{run.run_id}.{cell}" for cell in run.cells["cell"]}
        origins |= {new: (run.folder, old) for old, new in names.items()}
        cells.append(run.cells.assign(cell=run.cells["cell"].map(names)))
        metrics.append(run.metrics.assign(cell=run.metrics["cell"].map(names)))
        named = run.phases["cell"].map(names).fillna("")
        phases.append(run.phases.assign(cell=named))
    together = pd.concat(cells, ignore_index=True)
    first = runs[0]
    if first.manifest.yardstick.unit == TURN:
        repeats = pd.concat(_turns(runs), ignore_index=True)
    else:
        repeats = together.groupby(["method", "seed"], sort=False, dropna=False).cumcount()
    merge: dict[str, object] = {}
    for run in runs:
        merge |= run.manifest.section("merge")
    name = f"{first.run_id} and {len(runs) - 1} more"
    notes = tuple(f"{run.run_id}: {note}" for run in runs for note in run.notes)
    return replace(
        first,
        manifest=Manifest({**first.manifest.raw, "run_id": name, "merge": merge}),
        cells=together.assign(repeat=repeats.astype("Int64")),
        metrics=pd.concat(metrics, ignore_index=True),
        phases=pd.concat(phases, ignore_index=True),
        notes=notes,
        members=tuple(run.manifest for run in runs),
        origins=origins,
    )


def _turns(runs: Sequence[Run]) -> Iterator[pd.Series[int]]:
    """Yield the turns of each run, numbered behind those of the run before: pairs stay pairs."""
    before = 0
    for run in runs:
        yield run.cells["repeat"] + before
        before += int(run.cells["repeat"].max()) + 1 if len(run.cells) else 0


def series_names(runs: Sequence[Run]) -> Mapping[str, str]:
    """Return a short name per series: its device, with its run where devices repeat.

    GPU and processor of one device are two devices, told apart as in `--device NAME:gpu`.
    """
    pairs = [(run.manifest.device_name, run.manifest.accelerator) for run in runs]
    several = {name for name, kind in pairs if any(n == name and k != kind for n, k in pairs)}
    devices = [f"{name}:{kind}" if name in several and kind else name for name, kind in pairs]
    return {
        run.run_id: device if devices.count(device) == 1 else f"{device} ({run.run_id})"
        for run, device in zip(runs, devices, strict=True)
    }
