"""List devices, meters, methods, models, data sets and runs: usable here, or why not."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from devices.errors import DeviceError
from devices.host import Host, detect
from devices.meters.registry import METERS, try_meter
from devices.profile import Profile, load_profiles, matches
from harness.checkup.facts import detect_tree
from harness.core.clean_text import say
from harness.core.command_frame import run_command
from harness.core.errors import (
    EXIT_DONE,
    DeviceMissingError,
    UsageError,
    unknown,
)
from harness.core.launching import typed_name
from harness.core.parser import Parser, add_include_options
from harness.core.shell_words import shell_word
from harness.core.wrapping import screen_width, wrapped
from harness.evidence.bundles import WHAT, bundle_words
from harness.evidence.going_on import go_on_words
from harness.evidence.overview import RunEntry, overview
from harness.evidence.overview_page import NAME as PAGE
from harness.evidence.overview_page import best_words, joules, write_overview
from harness.records.listing import Item
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
    parser.add_argument(
        "--page", action="store_true", help=f"of runs: write DIR/{PAGE}, a page of them, too"
    )
    parser.add_argument("--out", default="results", metavar="DIR", help="folder of runs [results]")
    parser.add_argument("--cache", metavar="DIR", help="folder of data sets [~/.cache/…]")
    parser.add_argument("--root", metavar="DIR", help="answer for a folder that doctor has written")
    add_include_options(parser)
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
    columns = screen_width()
    for item in items:
        line = f"{item.shown_mark:<{marks}} {item.name:<{width}}  {item.text}"
        indent = min(width, MOST_INDENT) + marks + 3
        say(wrapped(line, columns, indent) if sys.stdout.isatty() else line)
        for paragraph in item.below:
            say(_below(paragraph, columns))
    if legend:
        say("\n" + _below(legend, columns))


def _below(paragraph: str, columns: int) -> str:
    return " " * 4 + wrapped(paragraph, columns - 4, 8)


def _host(parsed: Namespace) -> Host:
    return detect_tree(Path(parsed.root))[0] if parsed.root else detect()


def _devices(parsed: Namespace) -> Iterable[Item]:
    host = _host(parsed)
    for profile in load_profiles():
        here = matches(host, profile)
        how = "this host" if here else "not this host: time and energy would be modelled"
        meters = ", ".join(profile.meters) or "none of its own"
        yield Item(
            profile.name, here,
            f"{profile.title}; trains on {_trainers(profile)}; {how}; meters: {meters}",
            {"title": profile.title, "aliases": list(profile.aliases), "cores": profile.cores,
             "memory_bytes": profile.memory_bytes, "meters": list(profile.meters),
             "power_modes": dict(profile.power_modes.ids) if profile.power_modes else {},
             "limits": list(profile.limits),
             "accelerators": ["cpu", "gpu"] if profile.gpu else ["cpu"],
             "gpu": profile.gpu.name if profile.gpu else None},
            mark="here" if here else "model",
        )  # fmt: skip


def _trainers(profile: Profile) -> str:
    return f"gpu ({profile.gpu.name}) or cpu" if profile.gpu else "cpu"


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
        except Exception as error:
            yield Item(name, False, f"cannot be loaded: {error}")
            continue
        judged = f"judged by {workload.objective.name}, {workload.objective.better} is better"
        yield Item(name, True, f"{workload.title}; {judged}")


def _runs(parsed: Namespace) -> Iterable[Item]:
    out = Path(parsed.out)
    if not out.is_dir():
        raise UsageError(f"there is no folder {out}", "Name the folder of runs with --out DIR.")
    runs = overview(out)
    if parsed.page:
        page = write_overview(out)
        where = out / PAGE if page is None else page
        say(f"{'left alone, not ours' if page is None else 'wrote'}: {where}", sys.stderr)
    for run in runs:
        yield _run(run, out)


def _run(run: RunEntry, out: Path) -> Item:
    name = os.path.relpath(run.folder, out)
    if run.is_bundle:
        text = f"{WHAT}. {bundle_words(run.folder)}"
        return Item(name, False, text, {"status": None, "bundle": True})
    if run.problem:
        return Item(name, False, f"cannot be read: {run.problem}", {"status": None})
    counted = ", ".join(f"{count} {state}" for state, count in sorted(run.cells.items())) or "none"
    quick = "; quick, not for publication" if run.quick else ""
    make = f"{typed_name('report')} {shell_word(run.folder)}"
    page = f"report: {run.page}" if run.page else f"no report: {make}"
    return Item(
        name, run.status == "done", f"{_going(run)}; cells: {counted}{quick}",
        {"status": run.status, "created": run.created, "cells": dict(run.cells),
         "folder": str(run.folder), "device": run.device, "workload": run.workload,
         "methods": dict(run.methods), "objective": run.objective, "energy_j": run.energy_j,
         "energy_cells": run.energy_cells, "energy_model_j": run.energy_model_j,
         "energy_model_cells": run.energy_model_cells, "energy_origin": run.energy_origin or None,
         "report": str(run.page) if run.page else None},
        (f"{run.device}, {run.workload}: {', '.join(run.methods) or 'no method'}",
         f"{joules(run)}, best {best_words(run)}", page),
    )  # fmt: skip


def _going(run: RunEntry) -> str:
    """Return how a run stands, and what to type to go on with it."""
    if run.status in ("done", "running"):
        return run.status
    words = go_on_words(run.folder, run.workload, run.command)
    return f"{run.status}; {words[0].lower()}{words[1:]}"


MOST_INDENT = 24

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
