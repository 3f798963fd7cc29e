"""Read command-line options into a configuration; every field of it is an option."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.errors import DeviceError
from harness.core.errors import HarnessError, Problems, raise_all
from harness.core.parser import Parser, add_include_options
from harness.workloads.base import Workload
from harness.workloads.registry import DEFAULT, find_workload

if TYPE_CHECKING:
    from harness.config import Config, RunConfig


def option_name(field: Field[Any]) -> str:
    """Return the option of a field."""
    return "--" + field.name.replace("_", "-")


def add_config_options(parser: argparse.ArgumentParser, kind: type[RunConfig]) -> None:
    """Add one option for every field of a class of configurations, and --config, in groups."""
    from harness.config import GROUPS, WHAT  # noqa: PLC0415 - other commands do without it

    groups = {title: parser.add_argument_group(title) for title in GROUPS}
    for field in sorted(fields(kind), key=lambda f: GROUPS.index(f.metadata["group"])):
        group = groups[field.metadata["group"]]
        text = field.metadata["help"]
        if isinstance(field.default, bool):
            group.add_argument(
                option_name(field), action="store_true", default=None, help=text, dest=field.name
            )
            continue
        default = _default_text(field.default)
        if default:
            text += f" [{default}]"
        names = [option_name(field)]
        if field.name == "methods":
            names.append("--method")
        if field.name == "data":
            names.append("--dataset")
        group.add_argument(
            *names, dest=field.name, metavar=field.metadata["metavar"], help=text.replace("%", "%%")
        )
    groups[WHAT].add_argument("--config", metavar="FILE", help="TOML file of the same names")


def group_of(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """Return the group of options with a title, made at the end if there is none."""
    found = (group for group in parser._action_groups if group.title == title)
    return next(found, None) or parser.add_argument_group(title)


def _default_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def asked_workload(words: Sequence[str]) -> Workload:
    """Return the workload that options ask for, by themselves or in their file.

    Options differ by workload, so this is settled before all others are read.

    Raises:
        UsageError: if there is none of that name.
    """
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--workload", metavar="NAME")
    parser.add_argument("--config", metavar="FILE")
    parser.add_argument("--resume", metavar="RUN")
    parser.add_argument("--out", metavar="DIR")
    add_include_options(parser, shown=False)
    found, _ = parser.parse_known_args(list(words))
    name = found.workload
    if name is None and found.config is not None:
        name = _told_workload(Path(found.config))
    if name is None and found.resume is not None:
        name = _recorded_workload(found.resume, found.out or "results")
    return find_workload(DEFAULT if name is None else str(name))


def _told_workload(path: Path) -> object:
    """Return the workload that a file names; what is wrong with it is said when it is read."""
    from devices.toml_tables import load_toml  # noqa: PLC0415 - only where a file is given

    with contextlib.suppress(DeviceError):
        return load_toml(path)[0].get("workload")
    return None


def _recorded_workload(run: str, out: str) -> object:
    from harness.run_folder.resume import read_manifest  # noqa: PLC0415 - only with --resume

    with contextlib.suppress(HarnessError, OSError):  # said when the run itself is read
        path = Path(run) if Path(run).is_dir() else Path(out) / run
        config = read_manifest(path).get("config")
        return config.get("workload") if isinstance(config, dict) else None
    return None


def config_from(
    parsed: argparse.Namespace,
    kind: type[Config],
    base: Mapping[str, Any] | None = None,
) -> Config:
    """Put together what the options and the file say, over the values of `base` if there are any.

    Raises:
        HarnessError: for every value or combination that is impossible.
    """
    from harness.config import make_config, parse_option, read_file  # noqa: PLC0415

    given: dict[str, Any] = {}
    problems = Problems()
    for field in fields(kind):
        value = getattr(parsed, field.name)
        if isinstance(value, str):
            value = problems.attempt(partial(parse_option, field, value))
        if value is not None:
            given[field.name] = value
    path = parsed.config
    from_file = {} if path is None else problems.attempt(lambda: read_file(Path(path), kind)) or {}
    config = problems.attempt(lambda: make_config(kind, given, {**(base or {}), **from_file}))
    raise_all(problems.found)
    assert config is not None  # as there was no problem
    return config
