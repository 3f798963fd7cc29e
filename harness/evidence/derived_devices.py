"""Recompute devices.csv from the samples of devices, and what of it cells are charged."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.core.schema import COST_PHASES
from harness.evidence.reading import RunFiles
from harness.evidence.samples import KeptSamples
from harness.evidence.stated import AGREE, Contradiction, total
from harness.evidence.tables import Row

SAMPLES_AGREE = 1e-3
CLOCK_SLACK_S = 1.0
"""How far a device's samples may lie from its stretches: wall clocks are set while a fleet runs."""

CARRIED = (
    "time_s", "cpu_s", "time_model_s", "energy_j", "energy_error_j", "energy_model_j", "flags",
)  # fmt: skip
"""What devices.csv and phases.csv both say of a stretch that a method is charged for."""


def device_contradictions(run: RunFiles, rows: list[Row]) -> Iterator[Contradiction]:
    """Yield what the manifest, phases.csv, cells.csv and the samples contradict in devices.csv."""
    told = run.section("fleet").get("devices")
    known = {
        str(d.get("device")): d for d in (told if isinstance(told, list) else ())
        if isinstance(d, dict)
    }  # fmt: skip
    for row in rows:
        device = known.get(str(row["device"]))
        if device is None and known:
            yield "device", str(row["cell"]), f"device {row['device']} of devices.csv is none of it"
        elif device is not None:
            yield from _card(row, device)
        yield from _stretch(row)
    yield from _powers(rows)
    if run.section("fleet"):
        yield from _carried(run, rows)
    if run.section("fleet") or run.is_of_clients:
        yield from _summed(run, rows)
    for name, card in known.items():
        yield from _sampled(run, card, [row for row in rows if row["device"] == name])


def _card(row: Row, device: Mapping[str, Any]) -> Iterator[Contradiction]:
    meter = device.get("meter") if isinstance(device.get("meter"), dict) else {}
    pairs = {"energy_meter": "meter", "energy_scope": "scope", "energy_kind": "kind"}
    for column, key in pairs.items():
        expected = (meter or {}).get(key)
        if row[column] and expected is not None and row[column] != expected:
            text = f"{column} of {row['device']} is {row[column]} in devices.csv"
            yield f"devices' {column}", str(row["cell"]), f"{text}, the manifest says {expected}"
    partition = device.get("partition")
    if row["client"] is not None and isinstance(partition, list) and row["client"] not in partition:
        text = f"client {row['client']} is not of device {row['device']}"
        yield "devices' client", str(row["cell"]), text


def _stretch(row: Row) -> Iterator[Contradiction]:
    cell = str(row["cell"] or row["device"])
    if None not in (row["start_s"], row["end_s"], row["time_s"]):
        length = row["end_s"] - row["start_s"]
        if not math.isclose(row["time_s"], length, rel_tol=AGREE, abs_tol=AGREE):
            text = f"time_s is {row['time_s']:.6g} s in devices.csv, from start_s to end_s"
            yield "devices' time_s", cell, f"{text} {length:.6g} s"
    if row["energy_j"] is not None and row["energy_reason"]:
        yield "devices' energy_reason", cell, "energy_reason says why there are no joules"


def _powers(rows: Sequence[Row]) -> Iterator[Contradiction]:
    """Yield modelled joules that are no product of time with the one idle power of a device.

    A profile's figures are not in the manifest, but where nothing was computed they are one power.
    """
    watts: dict[str, list[tuple[float, Row]]] = defaultdict(list)
    for row in rows:
        joules, time_s = row["energy_model_j"], row["time_s"]
        if joules is not None and time_s and row["time_model_s"] is None and not row["cpu_s"]:
            watts[str(row["device"])].append((joules / time_s, row))
    for device, own in watts.items():
        middle = statistics.median_low(power for power, _ in own)
        for power, row in own:
            if not math.isclose(power, middle, rel_tol=AGREE, abs_tol=AGREE):
                text = f"energy_model_j of {device} is {row['energy_model_j']:.6g} J in devices.csv"
                text = f"{text}, its power elsewhere gives {middle * row['time_s']:.6g} J"
                yield "devices' energy_model_j", str(row["cell"] or device), text


def _key(row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("cell", "job", "round", "client", "phase"))


def _carried(run: RunFiles, rows: Sequence[Row]) -> Iterator[Contradiction]:
    """Yield figures of charged stretches that devices.csv and phases.csv give differently."""
    found: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in run.phases:
        if row["client"] and row["phase"] in COST_PHASES:
            found[_key(row)].append(row)
    for row in rows:
        if row["client"] is None or row["phase"] not in COST_PHASES or row["fate"] == "lost":
            continue
        same = found.get(_key(row), [])
        if row["time_s"] is None:
            continue  # nobody could measure it
        if not same:
            text = "job, round, client and phase of a stretch in devices.csv are not in phases.csv"
            yield "devices' job", str(row["cell"]), text
        for column in (*CARRIED, "start_s", "end_s"):
            if same and not any(_alike(row[column], other[column]) for other in same):
                where = f"{row['job']}, round {row['round']}, client {row['client']}"
                text = f"{column} of job {where} is {row[column]} in devices.csv"
                yield (
                    f"devices' {column}",
                    str(row["cell"]),
                    f"{text}, {same[0][column]} in phases.csv",
                )


def _alike(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=AGREE, abs_tol=AGREE)
    return (one or None) == (other or None)


def _summed(run: RunFiles, rows: Sequence[Row]) -> Iterator[Contradiction]:
    """Yield joules of a cell that the charged stretches of its devices do not add up to."""
    for cell in run.done:
        own = [
            row for row in rows
            if row["cell"] == cell["cell"] and (row["client"] is not None or run.is_of_clients)
            and row["phase"] in COST_PHASES and row["fate"] != "lost" and row["time_s"] is not None
        ]  # fmt: skip
        for column in ("energy_j", "energy_error_j", "energy_model_j", "time_model_s"):
            parts = [row[column] for row in own]
            if cell[column] is None or not parts or None in parts:
                continue
            added = total(parts)
            if not math.isclose(cell[column], added, rel_tol=AGREE, abs_tol=AGREE):
                text = f"{column} is {cell[column]:.6g} in cells.csv, its devices' add up to"
                yield column, str(cell["cell"]), f"{text} {added:.6g}"


def _sampled(
    run: RunFiles, card: Mapping[str, Any], rows: Sequence[Row]
) -> Iterator[Contradiction]:
    """Integrate the samples that a device sent along with each cell."""
    meter, version = card.get("meter"), int(run.manifest["schema_version"])
    rails = meter.get("rails") if isinstance(meter, dict) else None
    if not isinstance(meter, dict) or not isinstance(rails, list):
        return
    prefix = f"{card.get('device')}/"
    named = [{**r, "name": f"{prefix}{r.get('name')}"} for r in rails if isinstance(r, dict)]
    for cell in dict.fromkeys(str(row["cell"]) for row in rows if row["cell"]):
        path = run.folder / "traces" / f"{cell}.csv.gz"
        samples = KeptSamples.of({**meter, "rails": named}, path, version)
        for row in rows if samples is not None else ():
            stated = row["energy_j"]
            if row["cell"] != cell or None in (row["start_s"], row["end_s"], stated):
                continue
            least, most = _allowed(samples, row["start_s"], row["end_s"])
            slack = SAMPLES_AGREE * max(1.0, abs(stated))
            if not least - slack <= stated <= most + slack:
                text = f"energy_j of {row['device']} is {stated:.6g} J in devices.csv, its samples"
                yield "devices' energy_j", cell, f"{text} allow {least:.6g} to {most:.6g} J"


def _allowed(samples: KeptSamples | None, start_s: float, end_s: float) -> tuple[float, float]:
    """Return the joules of a window made shorter and longer by the slack of clocks."""
    assert samples is not None
    inner = samples.energy_j((start_s + CLOCK_SLACK_S, end_s - CLOCK_SLACK_S))
    outer = samples.energy_j((start_s - CLOCK_SLACK_S, end_s + CLOCK_SLACK_S))
    return 0.0 if inner is None else inner, math.inf if outer is None else outer
