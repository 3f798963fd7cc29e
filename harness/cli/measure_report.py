"""Say what measured commands took: as one plain object, as a table, and in words."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.cli.measure_coverage import Coverage, coverage
from harness.core.clean_text import spreadsheet_safe
from harness.core.shell_words import shell_line
from harness.evidence.disturbed import disturbing
from harness.evidence.paired import no_interval_words, paired_ratio
from harness.evidence.sensors import pretended
from harness.measurement.choice import ChosenMeters
from harness.measurement.command_session import CommandRun, CommandSession, summary
from harness.running.measurement_files import net_of

COLUMNS = (
    "command", "repeat", "time_s", "cpu_s", "energy_meter", "energy_scope", "energy_kind",
    "energy_j", "energy_error_j", "energy_net_j",
    "energy_net_error_j", "energy_model_j", "energy_reason", "power_w", "peak_power_w",
    "energy_delay_js", "cpu_utilisation", "gpu_utilisation", "received_bytes", "sent_bytes",
    "peak_memory_bytes", "peak_memory_of", "exit_status", "status", "reason",
    "flags",
)  # fmt: skip
COLUMNS_SHOWN = 80
RATIOS = (("time_s", "time"), ("energy_j", "energy"), ("energy_model_j", "modelled energy"))
MEANS = (
    "cpu_s", "energy_j", "energy_error_j", "energy_net_j", "energy_net_error_j", "energy_model_j",
    "power_w", "peak_power_w", "energy_delay_js", "cpu_utilisation", "gpu_utilisation",
    "received_bytes", "sent_bytes",
)  # fmt: skip


def document(
    session: CommandSession, label: str, path: Path | None, chosen: ChosenMeters
) -> dict[str, Any]:
    """Return all that was found as plain values; the first command stands at the top level."""
    held = coverage(chosen, [meter.streams().info for meter in session.meters.totals])
    own = [_command(session, number, held) for number in range(len(session.plan.commands))]
    return {
        "label": label,
        **own[0],
        "others": own[1:],
        "ratios": [
            ratio(own[0], other, column)
            for other in own[1:]
            for column, _ in RATIOS
            if (column != "energy_model_j" or own[0]["energy_j"] is None)
        ],
        "stopped": session.stopped,
        "run_folder": None if path is None else str(path),
    }


USE = {
    "cpu_utilisation": "", "gpu_utilisation": "", "received_bytes": "B", "sent_bytes": "B",
}  # fmt: skip
"""What the host did meanwhile, and its units."""


def measures(run: CommandRun) -> dict[str, tuple[float | None, str]]:
    """Return the figures of a run that metrics.csv holds."""
    return {
        "exit_status": (float(run.result.exit_status), ""),
        "mean_power_w": (run.cost.power_w, "W"),
        "peak_power_w": (run.peak_w, "W"),
        "energy_delay_js": (_energy_delay(run), "J·s"),
        **{name: (value, USE[name]) for name, value in vars(run.use).items()},
    }


def _energy_delay(run: CommandRun) -> float | None:
    return None if run.cost.energy_j is None else run.cost.energy_j * run.cost.time_s


def _command(session: CommandSession, number: int, held: Coverage) -> dict[str, Any]:
    runs = [run for run in session.runs if run.command == number]
    plain = [_run(session, run) for run in runs]
    good = [p for p in plain if p["status"] == "done"] or plain
    times = summary([p["time_s"] for p in good])
    most = max(good, key=lambda p: p["peak_memory_bytes"] or 0, default=None)
    reasons = dict.fromkeys(p["energy_reason"] for p in good if p["energy_reason"])
    meters = session.meters
    failed = [p["exit_status"] for p in plain if p["exit_status"]]
    return {
        "command": shell_line(session.plan.commands[number]),
        "time_s": times.mean,
        "time_deviation_s": times.deviation,
        **{name: summary([p[name] for p in good]).mean for name in MEANS},
        "energy_deviation_j": summary([p["energy_j"] for p in good]).deviation,
        "energy_reason": "; ".join(reasons) if runs else "nothing was measured",
        "energy_meter": meters.name,
        "energy_scope": meters.scope,
        "energy_kind": meters.kind,
        "energy_covers": list(held.parts),
        "energy_covers_gpu": held.gpu,
        "energy_coverage": held.words(),
        "energy_model_of": held.modelled,
        "peak_memory_bytes": most and most["peak_memory_bytes"],
        "peak_memory_of": most["peak_memory_of"] if most else "",
        "exit_status": failed[-1] if failed else 0 if runs else None,
        "flags": list(dict.fromkeys(flag for p in plain for flag in p["flags"])),
        "runs": plain,
    }


def _run(session: CommandSession, run: CommandRun) -> dict[str, Any]:
    net_j, net_error_j = net_of(run.cost, session.measuring.idle)
    phases = session.measuring.costing.phases(run.spans)
    return {
        "repeat": run.repeat,
        "time_s": run.cost.time_s if run.result.started else None,
        "cpu_s": run.result.cpu_s,
        "energy_j": run.cost.energy_j,
        "energy_error_j": run.cost.error_j,
        "energy_net_j": net_j,
        "energy_net_error_j": net_error_j,
        "energy_model_j": run.cost.model_j,
        "energy_reason": run.cost.reason,
        "energy_meter": session.meters.name,
        "energy_scope": session.meters.scope,
        "energy_kind": session.meters.kind,
        "power_w": run.cost.power_w,
        "peak_power_w": run.peak_w if run.result.started else None,
        "energy_delay_js": _energy_delay(run),
        "peak_memory_bytes": run.result.memory.memory_bytes,
        "peak_memory_of": run.result.memory.how or run.result.memory.reason,
        **vars(run.use),
        "exit_status": run.result.exit_status,
        "status": run.status,
        "reason": run.reason,
        "flags": list(dict.fromkeys([*run.flags, *run.cost.flags])),
        "phases": [cost.as_dict() for cost in phases.values()],
        "components": [
            {
                "component": c.component, "meter": c.meter, "rail": c.rail, "role": c.role,
                "energy_j": c.joules.energy_j, "energy_error_j": c.joules.error_j,
                "reason": c.joules.reason,
            }
            for c in run.components
        ],
    }  # fmt: skip


def table(session: CommandSession) -> str:
    """Return one line per run as CSV."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for run in session.runs:
        plain = _run(session, run)
        command = shell_line(session.plan.commands[run.command])
        words = {"command": spreadsheet_safe(command), "reason": spreadsheet_safe(plain["reason"])}
        writer.writerow({**plain, **words, "flags": "+".join(plain["flags"])})
    return stream.getvalue()


def ratio(first: Mapping[str, Any], other: Mapping[str, Any], column: str) -> dict[str, Any]:
    """Return the other command over the first, paired by turn, with its 95 % interval."""
    own, base = (
        {turn["repeat"]: turn[column] for turn in command["runs"]
         if turn["status"] == "done" and turn[column] is not None}
        for command in (other, first)
    )  # fmt: skip
    paired = paired_ratio(own, base)
    interval = paired.interval if paired else None
    found = {
        "figure": column,
        "first": first["command"],
        "other": other["command"],
        "pairs": len(paired.seeds) if paired else 0,
        "ratio": paired.ratio if paired else None,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
    }
    pretence = pretended(first.get("energy_meter") or "") if column == "energy_j" else ""
    return {**found, "verdict": f"{pretence} {verdict(found)}".strip()}


def verdict(found: Mapping[str, Any]) -> str:
    """Say in words what a ratio shows."""
    what = dict(RATIOS)[found["figure"]]
    if found["ratio"] is None:
        return f"{what}: no turn of both was done and has a figure, so nothing can be said"
    said = f"{what}: `{found['other']}` takes {found['ratio']:.3g}× that of `{found['first']}`"
    if found["low"] is None:
        return f"{said}; {no_interval_words(found['pairs'])}: --repeat 6 or more"
    said += f" (95 % interval {found['low']:.3g} to {found['high']:.3g}, {found['pairs']} pairs)"
    if found["low"] <= 1.0 <= found["high"]:
        return f"{said}: no difference is shown"
    return f"{said}: {'more' if found['ratio'] > 1.0 else 'less'}, and not by chance"


def text(found: Mapping[str, Any]) -> str:
    """Return the report for people."""
    lines = [""]
    for number, own in enumerate([found, *found["others"]]):
        title = found["label"] if number == 0 else own["command"]
        lines += [_filled(f"measured: {' '.join(title.split())}", 2), *_lines(own)]
    lines += [_filled(r["verdict"], 2) for r in found["ratios"]]
    if found["stopped"]:
        lines.append("stopped before the end: only what was measured until then is counted")
    if found["run_folder"]:
        lines.append(f"results in {found['run_folder']}")
    return "\n".join(lines)


def _lines(own: Mapping[str, Any]) -> list[str]:
    runs: Sequence[Mapping[str, Any]] = own["runs"]
    if not runs:
        return ["  nothing: stopped before the first measured run ended"]
    done = sum(1 for run in runs if run["status"] == "done")
    rows = [("runs", f"{len(runs)}")] if len(runs) > 1 else []
    if done < len(runs):
        rows = [("runs", f"{len(runs)}, of which {len(runs) - done} not done")]
    reasons = dict.fromkeys(run["reason"] for run in runs if run["reason"])
    rows += [("ended", reason) for reason in reasons]
    rows += [("time", _number(own["time_s"], "s", own["time_deviation_s"]))]
    rows += [("processor", _number(own["cpu_s"], "s"))]
    rows += _energy_rows(own)
    rows += [("memory", _memory(own))]
    rows += _use_rows(own)
    rows += [
        (c["component"], f"{_joules(c)}  {c['meter']} {c['rail']}, {c['role']}")
        for c in runs[-1]["components"]
        if len(runs[-1]["components"]) > 1
    ]
    rows += [(f"· {p['phase']}", _phase(p)) for p in runs[-1]["phases"]]
    spoilt = disturbing("+".join(own["flags"]))
    noted = [flag for flag in own["flags"] if flag not in spoilt]
    rows += [(name, ", ".join(f)) for name, f in (("disturbed", spoilt), ("noted", noted)) if f]
    width = max(len(name) for name, _ in rows)
    return [_filled(f"  {name:<{width}}  {value}", width + 4) for name, value in rows]


def _filled(line: str, indent: int) -> str:
    """Return a line broken at the width of a terminal, what follows below its text."""
    if len(line) <= COLUMNS_SHOWN:
        return line
    return textwrap.fill(
        line, COLUMNS_SHOWN, subsequent_indent=" " * indent, break_long_words=False,
        break_on_hyphens=False, drop_whitespace=True, replace_whitespace=False,
    )  # fmt: skip


def _energy_rows(own: Mapping[str, Any]) -> list[tuple[str, str]]:
    modelled = own["energy_model_j"]
    model = "none: no power model" if modelled is None else f"{_number(modelled, 'J')} modelled"
    if own["energy_j"] is None:
        why = own["energy_reason"] or "no meter"
        held = Coverage(modelled=own["energy_model_of"])
        rest = held.model_words(own["gpu_utilisation"])
        return [
            ("energy", f"not measured: {why}"),
            ("", ", ".join(filter(None, (f"{model}, not measured", rest)))),
        ]
    meter = f"{own['energy_meter']}, {own['energy_scope']}, {own['energy_kind']}"
    origin = pretended(own["energy_meter"]) or "measured"
    rows = [("energy", f"{_joules(own)}  {origin}: {meter}")]
    rows += [("covers", own["energy_coverage"])] if own["energy_coverage"] else []
    if own["energy_deviation_j"] is not None:
        rows.append(("", f"standard deviation {own['energy_deviation_j']:.3g} J between runs"))
    if own["energy_net_j"] is not None:
        rows.append(("above idle", _number(own["energy_net_j"], "J")))
    peak = own["peak_power_w"]
    most = "" if peak is None else f", at most {peak:.4g} W"
    rows.append(("power", f"{own['power_w']:.4g} W on average{most}"))
    rows.append(("energy-delay", _number(own["energy_delay_js"], "J·s")))
    return rows


def _use_rows(own: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how busy the host was, whoever kept it so."""
    shares = [("cores", own["cpu_utilisation"]), ("GPU", own["gpu_utilisation"])]
    busy = [f"{name} {100 * share:.0f} %" for name, share in shares if share is not None]
    rows = [("host busy", ", ".join(busy))] if busy else []
    got, sent = own["received_bytes"], own["sent_bytes"]
    if got or sent:
        told = f"{_bytes(got or 0)} received, {_bytes(sent or 0)} sent"
        rows.append(("network", f"{told} by this host"))
    return rows


def _bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"


def _number(value: float | None, unit: str, deviation: float | None = None) -> str:
    if value is None:
        return "unknown"
    spread = "" if deviation is None else f" ± {deviation:.2g} {unit} (standard deviation)"
    return f"{value:.4g} {unit}{spread}"


def _joules(row: Mapping[str, Any]) -> str:
    if row["energy_j"] is None:
        return f"no figure ({row.get('reason') or row.get('energy_reason')})"
    error = row.get("energy_error_j")
    bound = "" if error is None else f" ± {error:.2g} J"
    return f"{row['energy_j']:.4g} J{bound}"


def _memory(own: Mapping[str, Any]) -> str:
    if own["peak_memory_bytes"] is None:
        return f"unknown: {own['peak_memory_of']}"
    return f"{own['peak_memory_bytes'] / 1e6:.4g} MB at most ({own['peak_memory_of']})"


def _phase(phase: Mapping[str, Any]) -> str:
    each = phase["energy_per_sample_j"]
    per_sample = "" if each is None else f", {each:.3g} J per sample"
    return f"{phase['time_s']:.4g} s, {_joules(phase)}{per_sample}"
