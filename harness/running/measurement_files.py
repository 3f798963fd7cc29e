"""Write what a measuring session found as a run folder, in the form of every other run."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from devices.host import Host
from devices.host_use import HostUse, UseWatch
from harness.core.errors import StorageError
from harness.core.schema import (
    CELLS,
    COMPONENTS,
    METRICS,
    MOST_WHOLE,
    PHASE_ROWS,
    SCHEMA_VERSION,
    TRACE,
    Column,
    as_name,
)
from harness.core.shell_words import typed_line
from harness.measurement.choice import ChosenMeters
from harness.measurement.figures import Costing, PhaseCost
from harness.measurement.idle import IdlePower, net_energy
from harness.measurement.meters import ComponentJoules, MeterSet
from harness.measurement.spans import Span, windows
from harness.run_folder.lock import folder_lock, run_lock
from harness.run_folder.results import Row, RunFolder, csv_text
from harness.run_folder.seal import seal
from harness.run_folder.sessions import this_boot

WORKLOAD = "measure"
ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class MeasuredCell:
    """Hold one measured cell: a run of a command, or of the body of a `with`.

    Attributes:
        name: name of the cell, fit for file names.
        method: what was measured, in words or as typed.
        repeat: which repeat of it.
        whole: its stretch of time.
        cost: what it took.
        spans: phases inside it.
        status: done, failed or interrupted.
        reason: why it is not done.
        flags: what disturbed it.
        peak_memory_bytes: peak memory of what ran; None if not known.
        measures: further figures for metrics.csv: name → value and unit.
        use: how busy the host was.
    """

    name: str
    method: str
    repeat: int
    whole: Span
    cost: PhaseCost
    spans: Sequence[Span]
    status: str
    reason: str
    flags: Sequence[str] = ()
    peak_memory_bytes: int | None = None
    measures: Mapping[str, tuple[float | None, str]] | None = None
    use: HostUse = field(default_factory=HostUse)


class SessionFiles(AbstractContextManager["SessionFiles"]):
    """Own the run folder of a session while it goes on."""

    def __init__(self, folder: RunFolder, chosen: ChosenMeters, manifest: dict[str, Any]) -> None:
        self._folder = folder
        self._chosen = chosen
        self._manifest = manifest
        self._cells: list[tuple[MeasuredCell, dict[str, object]]] = []
        self._components: list[Row] = []
        self._plain: list[Row] = []
        self._tables: dict[str, list[Row]] = {}
        self._idle = IdlePower()
        self._watching: UseWatch | None = None
        self._meters: MeterSet | None = None
        self._surroundings: Mapping[str, Any] = {}
        self._zero_s = 0.0
        self._open = ExitStack()
        self.run_id = folder.path.name
        self.path = folder.path
        self.samples = folder.path / "samples"

    @classmethod
    def create(
        cls,
        out: Path,
        chosen: ChosenMeters,
        label: str,
        settings: Mapping[str, Any] | None = None,
        module: str = "",
    ) -> SessionFiles:
        """Make the folder, with a manifest that says from the first moment on what this is.

        Raises:
            StorageError: if it cannot be made.
        """
        there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
        if not there.is_dir():
            raise StorageError(f"{there} is a file", "Choose another folder with --out DIR.")
        now = dt.datetime.now(dt.timezone.utc)
        one_cell = {"methods": [as_name(label)], "seeds": [0], "repeats": 1}
        config = {"label": label, **one_cell, **(settings or {})}
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
        device = chosen.profile.name if chosen.profile else "unknown"
        name = f"{now:%Y%m%d-%H%M%S}-{WORKLOAD}-{device}-{digest}"
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "run_id": name,
            "workload": WORKLOAD,
            "quick": False,
            "data": {"name": "none: what was measured opens its own"},
            "status": "running",
            "reason": "",
            "created": now.isoformat(timespec="seconds"),
            "command": typed_line(module) if module else "",
            "config": config,
            "config_digest": digest,
            "charged_phases": ["command" if module else "total"],
            "device": {
                "name": device, "title": chosen.profile.title if chosen.profile else device,
                **({"accelerator": chosen.accelerator} if chosen.has_gpu else {}),
            },
        }  # fmt: skip
        with folder_lock(out):
            taken = sum(1 for _ in out.glob(f"{name}*"))
            manifest["run_id"] = run_id = f"{name}-{taken + 1}" if taken else name
            return cls(RunFolder.create(out, run_id, manifest), chosen, manifest)

    def __enter__(self) -> SessionFiles:
        self._open.enter_context(run_lock(self.path))
        self._folder.event(event="started")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._open:
            if self._manifest["status"] == "running":
                why = "stopped by the user" if kind is KeyboardInterrupt else str(error or "")
                self.end("interrupted" if kind is KeyboardInterrupt else "failed", why)

    def look_around(self) -> None:
        """Ask the host, its programs and the source for what the manifest says of them.

        That takes some time, and is done before anything is measured.
        """
        from harness.running.environment import environment  # noqa: PLC0415 - it takes time, too

        self._surroundings = environment(HostOnly(self._chosen.host))

    def watch(self) -> None:
        """See from now on how busy the host is, for a session of one cell."""
        self._watching = UseWatch()

    def begin(self, meters: MeterSet, zero_s: float) -> None:
        """Say what measures, before anything is measured, so that a kill leaves it known.

        `zero_s` is where the run's time is 0.
        """
        self._zero_s = zero_s
        self._meters = meters
        described = meters.describe()
        chosen = self._chosen
        model = chosen.power_model()
        self._manifest |= {
            **self._surroundings,
            "meter": described[0] if described else None,
            "meters": described,
            "meter_reason": meters.reason,
            "energy_model": None
            if model is None
            else {
                "source": model.source, "idle_w": model.idle_w,
                "full_load_w": model.full_load_w, "cores": model.cores,
            },
            "sessions": [{"number": 1, "boot": this_boot(), "zero_s": zero_s}],
        }  # fmt: skip
        self._folder.manifest(self._manifest)

    def idle(self, power: IdlePower) -> None:
        """Take the idle power, from which joules above idle follow."""
        self._idle = power
        self._manifest["idle"] = power.as_dict()
        if power.mean_w is not None:
            self._write_cells()

    def cell(self, cell: MeasuredCell, meters: MeterSet, cost: Costing) -> None:
        """Write all that is known of a cell that is over."""
        row = self._cell_row(cell, meters)
        self._cells.append((cell, row))
        self._write_cells()
        rows = self._phase_rows(cell, cost)
        while some := list(islice(rows, ROWS_AT_ONCE)):
            self._folder.append("phases", PHASE_ROWS, some)
        self._folder.append("metrics", METRICS, self._metric_rows(cell, cost))
        covered = windows([cell.whole])
        self._take_components(cell.name, "", meters.components(covered))
        for name in dict.fromkeys(span.name for span in cell.spans):
            own = windows(span for span in cell.spans if span.name == name)
            self._take_components(cell.name, name, meters.components(own))
        if self._components:
            self._folder.text("components.csv", csv_text(COMPONENTS, self._components))
        self._trace(cell, meters)
        self._folder.event(event="cell done", cell=cell.name, status=cell.status)

    def plain_cell(
        self, row: Mapping[str, object], measures: Mapping[str, tuple[float | None, str]]
    ) -> None:
        """Write a cell whose figures come from elsewhere: a row of cells.csv, more for metrics."""
        self._plain.append(row)
        self._write_cells()
        self._folder.append("metrics", METRICS, self._measures(str(row["cell"]), measures))

    def table(self, name: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Append to a table that not every run has; the first rows make it."""
        kept = self._tables.setdefault(name, [])
        kept += rows
        self._folder.text(f"{name}.csv", csv_text(columns, kept))

    def end(self, status: str, reason: str = "") -> None:
        """Say how the session ended; raw samples are kept only if it did not end well."""
        self._manifest |= {"status": status, "reason": reason}
        if self._meters is not None:
            described = self._meters.describe()  # what their processes cost is known by now
            self._manifest |= {"meter": described[0] if described else None, "meters": described}
        self._folder.event(event=status, reason=reason)
        if status == "done":
            self._manifest["files"] = seal(self.path)
        self._folder.manifest(self._manifest)
        if status == "done":
            with contextlib.suppress(OSError):  # what belongs to cells is in their traces
                shutil.rmtree(self.samples)

    def finish(
        self,
        whole: Span,
        spans: Sequence[Span],
        meters: MeterSet,
        cost: Costing,
        failed: BaseException | None,
    ) -> None:
        """Write a session of one cell, and its end."""
        self._idle = cost.idle
        self._manifest["idle"] = cost.idle.as_dict()
        stopped = isinstance(failed, KeyboardInterrupt)
        status = "interrupted" if stopped else "failed" if failed is not None else "done"
        reason = "" if failed is None else f"{type(failed).__name__}: {failed}".rstrip(": ")
        label = str(self._manifest["config"]["label"])
        done = cost.phase(whole.name, [whole])
        use = HostUse() if self._watching is None else self._watching.at_end()
        cell = MeasuredCell(
            slug(label, 0), as_name(label), 0, whole, done, spans, status, reason, use=use
        )
        self.cell(cell, meters, cost)
        self.end(status, reason)

    def _cell_row(self, cell: MeasuredCell, meters: MeterSet) -> dict[str, object]:
        return {
            "run_id": self.run_id,
            "cell": cell.name,
            "device": self._manifest["device"]["name"],
            "host_matches_device": True,
            "method": cell.method,
            "tasks": "",
            "seed": 0,
            "repeat": cell.repeat,
            "time_s": cell.cost.time_s,
            "energy_j": cell.cost.energy_j,
            "energy_error_j": cell.cost.error_j,
            "energy_model_j": cell.cost.model_j,
            "energy_meter": meters.name,
            "energy_scope": meters.scope,
            "energy_kind": meters.kind,
            "energy_reason": cell.cost.reason,
            "peak_memory_bytes": cell.peak_memory_bytes,
            "energy_delay_js": _product(cell.cost.energy_j, cell.cost.time_s),
            "energy_per_sample_j": cell.cost.energy_per_sample_j,
            "cpu_utilisation": cell.use.cpu_utilisation,
            "gpu_utilisation": cell.use.gpu_utilisation,
            "network_received_bytes": cell.use.received_bytes,
            "network_sent_bytes": cell.use.sent_bytes,
            "status": cell.status,
            "reason": cell.reason,
            "flags": "+".join(dict.fromkeys([*cell.flags, *cell.cost.flags])),
            "interruptions": 0,
        }

    def _write_cells(self) -> None:
        rows = list(self._plain)
        for cell, row in self._cells:
            net_j, net_error_j = net_of(cell.cost, self._idle)
            rows.append({**row, "energy_net_j": net_j, "energy_net_error_j": net_error_j})
        self._folder.text("cells.csv", csv_text(CELLS, rows))

    def _phase_rows(self, cell: MeasuredCell, cost: Costing) -> Iterator[dict[str, object]]:
        for span in (cell.whole, *cell.spans):
            found = cell.cost if span is cell.whole else cost.phase(span.name, [span])
            yield {
                "run_id": self.run_id,
                "cell": cell.name,
                "job": as_name(str(span.fields.get("job", ""))),
                "round": _whole_number(span.fields.get("round")),
                "client": as_name(str(span.fields.get("client", ""))),
                "phase": span.name,
                "start_s": span.start.time_s - self._zero_s,
                "end_s": span.end.time_s - self._zero_s,
                "time_s": found.time_s,
                "cpu_s": found.cpu_s,
                "energy_j": found.energy_j,
                "energy_error_j": found.error_j,
                "energy_model_j": found.model_j,
                "flags": "+".join(found.flags),
            }

    def _metric_rows(self, cell: MeasuredCell, cost: Costing) -> list[Row]:
        measures = {**(cell.measures or {}), "cpu_s": (cell.cost.cpu_s, "s")}
        rows = list(self._measures(cell.name, measures))
        for phase in cost.phases(cell.spans).values():
            told = {
                "samples": (phase.samples, "samples"),
                "energy_per_sample_j": (phase.energy_per_sample_j, "J"),
            }
            rows += [{**row, "phase": phase.name} for row in self._measures(cell.name, told)]
        return rows

    def _measures(self, cell: str, known: Mapping[str, tuple[float | None, str]]) -> list[Row]:
        return [
            {"run_id": self.run_id, "cell": cell, "metric": name, "value": value, "unit": unit}
            for name, (value, unit) in known.items()
            if value is not None
        ]

    def _take_components(self, cell: str, phase: str, found: Sequence[ComponentJoules]) -> None:
        self._components += [
            {
                "run_id": self.run_id, "cell": cell, "phase": phase, "component": c.component,
                "meter": c.meter, "rail": c.rail, "role": c.role, "energy_j": c.joules.energy_j,
                "energy_error_j": c.joules.error_j, "reason": c.joules.reason,
            }
            for c in found
        ]  # fmt: skip

    def _trace(self, cell: MeasuredCell, meters: MeterSet) -> None:
        window = cell.whole.start.time_s, cell.whole.end.time_s
        rows = meters.trace(*window, self._zero_s)
        if rows:
            self._folder.compressed(f"traces/{cell.name}.csv.gz", csv_text(TRACE, rows))


def net_of(cost: PhaseCost, idle: IdlePower) -> tuple[float | None, float | None]:
    """Return joules above idle and their bound; None for what is not known."""
    return net_energy(cost.energy_j, cost.error_j, {1: cost.time_s}, {1: idle})


def slug(label: str, repeat: int, before: str = "") -> str:
    """Return the name of a cell: what is fit for file names of a label, and the repeat.

    Of paths the last part is enough, and the others may tell whose they are.
    """
    short = re.sub(r"[^\s=:'\"]*/(?=[^/\s])", "", label)
    kept = "".join(c if c.isascii() and (c.isalnum() or c in ".-_") else "-" for c in short)
    return f"{before}{kept.strip('-.')[:60] or 'command'}-s0-r{repeat}"


def _whole_number(value: object) -> int | None:
    known = isinstance(value, int) and not isinstance(value, bool)
    return value if known and abs(value) <= MOST_WHOLE else None  # type: ignore[arg-type,return-value]


@dataclass(frozen=True)
class HostOnly:
    """Stand for a target that is the host itself."""

    host: Host
    matches: bool = True
    threads: int = 0


def _product(energy_j: float | None, time_s: float) -> float | None:
    return None if energy_j is None else energy_j * time_s
