"""Recompute what cells.csv says of a cell beside sums: names, settings, counted work, its meter."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from devices.time_model import HostTiming, TimeModel
from harness.core.errors import DamagedRunError
from harness.core.schema import SCHEMA_VERSION, SHARED, WORK, sessions_of
from harness.evidence.reading import RunFiles
from harness.evidence.samples import plain_name
from harness.evidence.stated import Claim, Contradiction, contradiction
from harness.evidence.tables import Row, read_table

Counted = Mapping[str, float]
"""Amount by kind, as work.csv lists both."""


def cell_contradictions(run: RunFiles) -> Iterator[Contradiction]:
    """Yield words of cells.csv that the manifest contradicts, and numbers that counts do."""
    told = _told(run)
    lent = _lent(run)
    for row in run.cells:
        cell = str(row["cell"])
        for column, expected in told.items():
            short = run.section("meter").get("meter") if column == "energy_meter" else expected
            if row[column] not in (None, "") and row[column] not in (expected, short):
                text = f"{column} is {row[column]!s} in cells.csv, the manifest says {expected!s}"
                yield column, cell, text
        yield from _name(row, run)
        if row["status"] == "done":
            yield from _reason(row)
            yield from _shared(row, lent.get(cell, {}), run)
            for claim in _products(row):
                yield from contradiction(cell, claim)


def _told(run: RunFiles) -> dict[str, object]:
    """Return what a manifest says of every cell, by column; what it does not say is left out."""
    found: dict[str, object] = {
        "run_id": run.run_id,
        "device": run.section("device").get("name"),
        "host_matches_device": run.section("host").get("matches_device"),
        "workload": run.manifest.get("workload"),
        "objective": run.section("objective").get("name"),
        "objective_better": run.section("objective").get("better"),
    }
    if len(sessions_of(run.manifest)) < 2:  # a session may find less memory, or another way
        found["step"] = run.section("step").get("execution")
        batch = run.section("step").get("batch")
        found["batch_size"] = batch.get("taken") if isinstance(batch, Mapping) else None
        found |= _of_meter(run)
    return {column: value for column, value in found.items() if value is not None}


def _of_meter(run: RunFiles) -> dict[str, object]:
    """Return which meter a cell can have been measured by; of a fleet those of its devices."""
    columns = {"energy_meter": "name", "energy_scope": "scope", "energy_kind": "kind"}
    fleet = run.section("fleet").get("devices")
    if run.is_measured:
        return _of_total(run)
    if not isinstance(fleet, list):
        return {column: run.section("meter").get(key) for column, key in columns.items()}
    meters = [d["meter"] for d in fleet if isinstance(d, dict) and isinstance(d.get("meter"), dict)]
    columns["energy_meter"] = "meter"
    found = {c: {str(m.get(key)) for m in meters} for c, key in columns.items()}
    return {column: "+".join(sorted(names)) or None for column, names in found.items()}


def _of_total(run: RunFiles) -> dict[str, object]:
    """Return what cells of a measured program say of the meters whose joules are added up."""
    if run.is_of_clients:
        return {}  # theirs
    told = [meter for meter in run.meters if meter and meter.get("role", "total") == "total"]
    kinds = dict.fromkeys(str(meter.get("kind")) for meter in told)
    return {
        "energy_meter": "+".join(map(plain_name, told)) or None,
        "energy_scope": "+".join(str(meter.get("scope")) for meter in told) or None,
        "energy_kind": "+".join(kinds) or None,
    }


def _name(row: Row, run: RunFiles) -> Iterator[Contradiction]:
    cell, ending = str(row["cell"]), f"-s{row['seed']}-r{row['repeat']}"
    if not cell.endswith(ending):
        yield (
            "seed",
            cell,
            f"seed and repeat are {row['seed']} and {row['repeat']}, its name differs",
        )
        return
    if run.is_measured:
        yield from _command(row, run)
        return
    name, method = _letters(cell.removesuffix(ending)), str(row["method"])
    words = [word for word in re.split("[:,]", method) if word]
    if not all(_letters(word) in name for word in words):  # it may tell defaults as well
        yield "method", cell, f"method is {method} in cells.csv, which its name does not say"


def _command(row: Row, run: RunFiles) -> Iterator[Contradiction]:
    """Yield that a cell is of another command than its name numbers, where there are several."""
    methods = run.section("config").get("methods")
    cell, method = str(row["cell"]), row["method"]
    if not isinstance(methods, list) or len(methods) < 2:
        return
    number = cell.partition("-")[0]
    if not number.isdecimal() or method not in methods[int(number) : int(number) + 1]:
        yield "method", cell, f"method is {method} in cells.csv, its name numbers another command"


def _letters(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text)


def _reason(row: Row) -> Iterator[Contradiction]:
    if row["energy_j"] is not None and row["energy_reason"]:
        text = "energy_reason says why there are no joules, but there are"
        yield "energy_reason", str(row["cell"]), text


def _products(row: Row) -> Iterator[Claim]:
    joules, time_s = row["energy_j"], row["time_s"]
    if row["energy_delay_js"] is not None and None not in (joules, time_s):
        yield "energy_delay_js", row["energy_delay_js"], joules * time_s, "energy_j × time_s is"


def counted(run: RunFiles) -> Mapping[str, Counted]:
    """Return what work.csv counts of every cell; nothing if there is none, or it is damaged."""
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    path = run.folder / "work.csv"
    try:
        rows = read_table(path, WORK, SCHEMA_VERSION).rows if path.is_file() else ()
    except DamagedRunError:
        return {}  # named by what looks at files
    for row in rows:
        if row["amount"] is not None:
            found[str(row["cell"])][str(row["kind"])] += row["amount"]
    return found


def predicted(run: RunFiles, row: Row, work: Counted, *, moved: bool = False) -> Iterator[Claim]:
    """Yield the seconds that counted work comes to at the rates the run timed on its host.

    With `moved` bytes that a server moved count as well.
    """
    timed = run.section("calibration").get("forward_s")
    if not work or row["time_predicted_s"] is None or not isinstance(timed, dict):
        return
    seconds = _seconds(work, timed)
    rate = run.section("host_timing").get("memory_bytes_per_s") if moved else 1.0
    if seconds is not None and isinstance(rate, (int, float)) and rate > 0.0:
        seconds += work.get("bytes moved", 0.0) / rate if moved else 0.0
        yield "time_predicted_s", row["time_predicted_s"], seconds, "work.csv at its rates is"


def modelled(run: RunFiles, row: Row, work: Counted) -> Iterator[Claim]:
    """Yield the seconds that counted work comes to on the device that the run asked for."""
    if not work or row["time_model_s"] is None:
        return
    seconds = _modelled_s(run, work)
    if seconds is not None:
        yield "time_model_s", row["time_model_s"], seconds, "work.csv at the model's rates is"


def _seconds(work: Counted, forward_s: Mapping[str, Any]) -> float | None:
    parts = {k.removeprefix("forward "): n for k, n in work.items() if k.startswith("forward ")}
    rates = {part: forward_s.get(part) for part in parts}
    if not all(isinstance(rate, (int, float)) for rate in rates.values()):
        return None
    return sum(n * float(forward_s[part]) for part, n in parts.items())


def _modelled_s(run: RunFiles, work: Counted) -> float | None:
    model, told = run.section("time_model"), run.section("host_timing")
    try:
        host = HostTiming(**told)
        device = TimeModel(float(model["flop_per_s"]), float(model["memory_bytes_per_s"]))
        passes = _seconds(work, device.forward_s(host))
        moved_s = work.get("bytes moved", 0.0) / device.memory_bytes_per_s
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError, OverflowError):
        return None
    return None if passes is None else passes + moved_s


def _lent(run: RunFiles) -> Mapping[str, Mapping[str, set[int]]]:
    """Return by cell and job the rounds that were measured in another cell."""
    found: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for phase in run.phases:
        if SHARED in str(phase["flags"]).split("+") and phase["round"] is not None:
            found[str(phase["cell"])][str(phase["job"])].add(int(phase["round"]))
    return found


def _shared(row: Row, lent: Mapping[str, set[int]], run: RunFiles) -> Iterator[Contradiction]:
    said = [part.partition("<") for part in str(row["shared_jobs"]).split("+") if part]
    expected = sorted(f"{job}:{min(rounds)}-{max(rounds)}" for job, rounds in lent.items())
    names = {str(other["cell"]) for other in run.cells}
    known = all(name in names and name != row["cell"] for _, _, name in said)
    if sorted(part for part, _, _ in said) != expected or not known:
        text = f"shared_jobs is '{row['shared_jobs']}' in cells.csv, its phases say"
        yield "shared_jobs", str(row["cell"]), f"{text} '{'+'.join(expected)}'"
