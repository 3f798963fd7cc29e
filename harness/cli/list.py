"""List devices, meters, methods, models, data sets and runs: usable here, or why not."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from devices.errors import DeviceError
from devices.host import Host, detect
from devices.meters.registry import METERS, try_meter
from devices.profile import load_profiles, matches
from harness.checkup.facts import detect_tree
from harness.cli.options import Parser, run_command
from harness.core.clean_text import say
from harness.core.errors import (
    EXIT_DONE,
    DamagedRunError,
    DeviceMissingError,
    UsageError,
    unknown,
)
from harness.core.guarded_folder import read_bytes, read_object
from harness.records.listing import Item
from harness.run_folder.lock import is_running
from harness.workloads.registry import DEFAULT, find_workload, known_workloads


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m harness.list",
        description="List what exists, usable here or not, and why.",
        allow_abbrev=False,
    )
    parser.add_argument("kind", metavar="KIND", help=", ".join((*LISTS, *OF_WORKLOAD)))
    parser.add_argument(
        "--workload", default=DEFAULT, metavar="NAME",
        help=f"whose {', '.join(OF_WORKLOAD)} [{DEFAULT}]",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument("--out", default="results", metavar="DIR", help="folder of runs [results]")
    parser.add_argument("--cache", metavar="DIR", help="folder of data sets [~/.cache/…]")
    parser.add_argument("--root", metavar="DIR", help="answer for a folder that doctor has written")
    return run_command(parser, words, _list)


def _list(parsed: Namespace) -> int:
    if parsed.kind not in (*LISTS, *OF_WORKLOAD):
        raise unknown("kind", parsed.kind, (*LISTS, *OF_WORKLOAD))
    workload = find_workload(parsed.workload)
    legend = ""
    try:
        if parsed.kind in LISTS:
            items = list(LISTS[parsed.kind](parsed))
        else:
            items = list(workload.listing(parsed.kind, parsed.cache or ""))
            legend = workload.legend(parsed.kind)
        legend = LEGENDS.get(parsed.kind, legend)
    except DeviceError as error:
        raise DeviceMissingError(error.message, error.remedy) from error
    _print(items, parsed, legend)
    return EXIT_DONE


def _print(items: Sequence[Item], parsed: Namespace, legend: str) -> None:
    if parsed.json:
        print(json.dumps([item.to_dict() for item in items], indent=2))
        return
    if not items:
        print(f"no {parsed.kind} in {parsed.out}" if parsed.kind == "runs" else "none")
    width = max((len(item.name) for item in items), default=0)
    marks = max((len(item.shown_mark) for item in items), default=0)
    for item in items:
        say(f"{item.shown_mark:<{marks}} {item.name:<{width}}  {item.text}")
        for paragraph in item.below:
            say(_below(paragraph))
    if legend:
        say("\n" + _below(legend))


def _below(paragraph: str) -> str:
    return textwrap.fill(paragraph, 80, initial_indent=" " * 4, subsequent_indent=" " * 8)


def _host(parsed: Namespace) -> Host:
    return detect_tree(Path(parsed.root))[0] if parsed.root else detect()


def _devices(parsed: Namespace) -> Iterable[Item]:
    host = _host(parsed)
    for profile in load_profiles():
        here = matches(host, profile)
        how = "this host" if here else "not this host: time and energy would be modelled"
        meters = ", ".join(profile.meters) or "none of its own"
        yield Item(
            profile.name, here, f"{profile.title}; {how}; meters: {meters}",
            {"title": profile.title, "aliases": list(profile.aliases), "cores": profile.cores,
             "memory_bytes": profile.memory_bytes, "meters": list(profile.meters),
             "power_modes": dict(profile.power_modes.ids) if profile.power_modes else {},
             "limits": list(profile.limits)},
            mark="here" if here else "model",
        )  # fmt: skip


def _meters(parsed: Namespace) -> Iterable[Item]:
    root = Path(parsed.root or "/")
    for name, kind in METERS.items():
        options = list(kind.option_names)
        try:
            answer = try_meter(name, root)
            usable, reason, fix = answer.usable, answer.reason, answer.fix
        except DeviceError as error:
            usable, reason, fix = False, error.message, error.remedy
        text = "can be used here" if usable else reason
        text += "; its figures are made up" if kind.made_up else ""
        given = f"; options: {', '.join(options)}" if options else ""
        yield Item(name, usable, text + given, {"reason": reason, "fix": fix, "options": options})


def _workloads(_: Namespace) -> Iterable[Item]:
    for name in known_workloads():
        try:
            workload = find_workload(name)
        except (ImportError, AttributeError) as error:
            yield Item(name, False, f"cannot be loaded: {error}")
            continue
        judged = f"judged by {workload.objective.name}, {workload.objective.better} is better"
        yield Item(name, True, f"{workload.title}; {judged}")


def _runs(parsed: Namespace) -> Iterable[Item]:
    out = Path(parsed.out)
    if not out.is_dir():
        raise UsageError(f"there is no folder {out}", "Name the folder of runs with --out DIR.")
    for manifest in sorted(out.glob("*/manifest.json")):
        yield _run(manifest)


def _run(manifest: Path) -> Item:
    name = manifest.parent.name
    try:
        facts = read_object(manifest)
        cells = _cell_states(manifest.parent / "cells.csv")
    except (DamagedRunError, UnicodeDecodeError, csv.Error) as error:
        words = error.message if isinstance(error, DamagedRunError) else str(error)
        return Item(name, False, f"cannot be read: {words}", {"status": None})
    status = str(facts.get("status", "unknown"))
    counted = ", ".join(f"{count} {state}" for state, count in sorted(cells.items())) or "none"
    quick = "; quick, not for publication" if facts.get("quick") else ""
    return Item(
        name, status == "done", f"{_going(manifest.parent, status)}; cells: {counted}{quick}",
        {"status": status, "created": facts.get("created"), "cells": dict(cells)},
    )  # fmt: skip


def _going(folder: Path, status: str) -> str:
    """Return how a run stands: one that says it is running may have been killed."""
    if status == "done":
        return status
    if is_running(folder):
        return "running"
    word = "killed" if status == "running" else status
    return f"{word}; to go on: python -m harness.run --resume {folder}"


def _cell_states(path: Path) -> Counter[str]:
    lines = io.StringIO(read_bytes(path).decode(), newline="")
    return Counter((row.get("status") or "unknown")[:20] for row in csv.DictReader(lines))


LISTS: dict[str, Callable[[Namespace], Iterable[Item]]] = {
    "devices": _devices,
    "meters": _meters,
    "workloads": _workloads,
    "runs": _runs,
}

LEGENDS = {
    "devices": "here: this host is one. model: --device takes it too; training is real, on this"
    " host, while the device's time and energy are modelled."
}

OF_WORKLOAD = ("methods", "models", "datasets", "tasks")
"""What each workload lists for itself."""
