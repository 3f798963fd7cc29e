"""List devices, meters, methods, models, data sets and runs: usable here, or why not."""

from __future__ import annotations

import csv
import io
import json
import os
import textwrap
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from devices.errors import DeviceError
from devices.host import Host, detect
from devices.meters.registry import METERS, probe_meter
from devices.profile import load_profiles, matches
from harness.checkup.facts import detect_tree
from harness.cli.options import Parser, run_command
from harness.core.clean_text import say
from harness.core.errors import (
    EXIT_DONE,
    DamagedRunError,
    DataError,
    DeviceMissingError,
    UsageError,
    unknown,
)
from harness.core.guarded_folder import read_bytes, read_object
from harness.run_folder.lock import is_running
from harness.workloads.multitask.data.catalogue import (
    DATA_SETS,
    IMPORTS,
    SCENES,
    default_cache,
    read_layout,
    stores_in,
)
from harness.workloads.multitask.methods.registry import METHODS, Method, Parameter
from models.multitask.registry import MODELS


@dataclass(frozen=True)
class Item:
    """Hold one thing listed: its name, whether it can be used here, what it is or why not.

    `below` are paragraphs that people see under it; JSON has their facts in `more`.
    """

    name: str
    usable: bool
    text: str
    more: dict[str, Any] = field(default_factory=dict)
    below: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON shows."""
        return {"name": self.name, "usable": self.usable, "text": self.text, **self.more}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m harness.list",
        description="List what exists, usable here or not, and why.",
        allow_abbrev=False,
    )
    parser.add_argument("kind", metavar="KIND", help=", ".join(LISTS))
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument("--out", default="results", metavar="DIR", help="folder of runs [results]")
    parser.add_argument("--cache", metavar="DIR", help="folder of data sets [~/.cache/…]")
    parser.add_argument("--root", metavar="DIR", help="answer for a folder that doctor has written")
    return run_command(parser, words, _list)


def _list(parsed: Namespace) -> int:
    if parsed.kind not in LISTS:
        raise unknown("kind", parsed.kind, LISTS)
    try:
        items = list(LISTS[parsed.kind](parsed))
    except DeviceError as error:
        raise DeviceMissingError(error.message, error.remedy) from error
    _print(items, parsed)
    return EXIT_DONE


def _print(items: Sequence[Item], parsed: Namespace) -> None:
    if parsed.json:
        print(json.dumps([item.to_dict() for item in items], indent=2))
        return
    if not items:
        print(f"no {parsed.kind} in {parsed.out}" if parsed.kind == "runs" else "none")
    width = max((len(item.name) for item in items), default=0)
    for item in items:
        say(f"{'yes' if item.usable else 'no ':<4}{item.name:<{width}}  {item.text}")
        for paragraph in item.below:
            say(_below(paragraph))
    if parsed.kind in LEGENDS:
        print("\n" + _below(LEGENDS[parsed.kind]))


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
        )  # fmt: skip


def _meters(parsed: Namespace) -> Iterable[Item]:
    root = Path(parsed.root or "/")
    for name, kind in METERS.items():
        options = list(kind.option_names)
        try:
            answer = probe_meter(name, root)
            usable, reason, fix = answer.usable, answer.reason, answer.fix
        except DeviceError as error:
            usable, reason, fix = False, error.message, error.remedy
        text = "can be used here" if usable else reason
        given = f"; options: {', '.join(options)}" if options else ""
        yield Item(name, usable, text + given, {"reason": reason, "fix": fix, "options": options})


KINDS = {int: "N", float: "X", bool: "yes|no", str: "WORD"}

LEGENDS = {
    "methods": "Cost: R rounds, R0 merged rounds, n tasks, |g| tasks of a group; E and D are what a"
    " round of the encoder and of one decoder costs, o is the share that look-aheads add; N"
    " clients, K of them in a round. [ ] holds defaults; --protocol release has others"
    " (docs/protocol.md)."
}
"""Kind of list → what its lines need to be understood."""


def _methods(_: Namespace) -> Iterable[Item]:
    for method in METHODS.values():
        below = (
            f"cost {method.cost}", f"from {method.source}",
            *(_parameter(parameter) for parameter in method.parameters),
        )  # fmt: skip
        yield Item(method.name, True, method.meaning, _method_details(method), below)


def _parameter(parameter: Parameter) -> str:
    values = "|".join(parameter.choices) or KINDS[parameter.kind]
    default = f" [{parameter.typed_default}]" if parameter.typed_default else ""
    return f"{parameter.name}={values}  {parameter.meaning}{default}"


def _method_details(method: Method) -> dict[str, Any]:
    return {
        "cost": method.cost,
        "source": method.source,
        "parameters": [
            {
                "name": p.name,
                "kind": p.kind.__name__,
                "default": p.default,
                "meaning": p.meaning,
                "choices": list(p.choices),
            }
            for p in method.parameters
        ],
    }


def _models(_: Namespace) -> Iterable[Item]:
    usable = find_spec("torch") is not None
    for name, (_where, meaning) in MODELS.items():
        yield Item(name, usable, meaning + ("" if usable else "; PyTorch is not installed"))


def _datasets(parsed: Namespace) -> Iterable[Item]:
    cache = Path(parsed.cache) if parsed.cache else default_cache(os.environ, Path.home())
    for name, meaning in DATA_SETS.items():
        if name == SCENES:
            usable = find_spec("numpy") is not None
            yield Item(name, usable, meaning + ("" if usable else "; NumPy is not installed"))
        else:
            yield _imported(name, meaning, stores_in(cache, name))


_NEEDS = {"taskonomy": "PIL", "nyuv2": "h5py", "folder": "PIL"}
"""Module without which a data set cannot be imported; a finished store needs none."""


def _imported(name: str, meaning: str, stores: Sequence[Path]) -> Item:
    """Return an imported data set: its stores, or the command that makes one."""
    if not stores:
        install = "pip install 'mas-edge-harness[import]'; "
        command = (install if find_spec(_NEEDS[name]) is None else "") + IMPORTS[name]
        text = f"{meaning}; not imported yet: {command}"
        return Item(name, False, text, {"stores": [], "fix": command})
    found = "; ".join(map(_store_words, stores))
    return Item(name, True, f"{meaning}; {found}", {"stores": list(map(str, stores)), "fix": ""})


def _store_words(path: Path) -> str:
    try:
        layout = read_layout(path)
    except DataError as error:
        return error.message
    return f"{layout.count('train')} clients, {layout.size} px, tasks {layout.tasks}: {path}"


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
    "methods": _methods,
    "models": _models,
    "datasets": _datasets,
    "runs": _runs,
}
