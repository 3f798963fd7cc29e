"""Write the pages of the manual that follow from the program: commands, tasks, API."""

from __future__ import annotations

from harness.cli.program import help_text, parser_of
from harness.core.launching import PARTS, TITLES, typed_name
from harness.workloads.registry import DEFAULT, find_workload

API = {
    "Reading results": ("analysis", "analysis.core.loading", "analysis.core.showing"),
    "Marking and measuring": ("harness.measurement.session", "harness.measurement.marks"),
    "Meters": ("devices.meters.base", "devices.energy"),
    "Boards": ("devices.profile",),
    "Extending": ("devices.extensions",),
    "Workloads": ("harness.workloads.base", "harness.workloads.simple", "harness.federated.simple"),
    "Figures and tables": (
        "analysis.core.figures.drawing", "analysis.core.tables.table", "analysis.core.exhibits",
    ),
    "Statistics": ("harness.evidence.paired", "analysis.core.statistics"),
}  # fmt: skip
"""Modules that people write against, by what for."""


def commands_page() -> str:
    """Return the help of every command, as the program prints it."""
    names = [name for command in TITLES for name in (command, *_parts(command))]
    sections = [
        f"## {name}\n\n```text\n{_help(name)}\n```\n" for name in names if name not in PARTS
    ]
    return "\n".join(
        ["# Commands", "", "Generated from the program.", "", f"```text\n{help_text()}\n```", "",
         *sections]
    )  # fmt: skip


def _parts(command: str) -> list[str]:
    return [f"{command} {part}" for part in PARTS.get(command, ())]


def _help(command: str) -> str:
    parser = parser_of(command)
    parser.prog = typed_name(command, ["python"])
    return parser.format_help().rstrip()


def tasks_page() -> str:
    """Return what the letters of tasks stand for, as `harness.list tasks` says it."""
    workload = find_workload(DEFAULT)
    rows = [f"| `{item.name}` | {item.text} |" for item in workload.listing("tasks", "")]
    head = ["# Tasks", "", "Generated from the program.", "", "| letter | task |", "|---|---|"]
    return "\n".join([*head, *rows, "", workload.legend("tasks").replace("|", r"\|"), ""])


def api_page() -> str:
    """Return the page that documents the modules people write against, from their docstrings."""
    parts = ["# API", "", "Generated from the docstrings.", ""]
    for title, modules in API.items():
        parts += [f"## {title}", "", *(f"::: {module}\n" for module in modules)]
    return "\n".join(parts)
