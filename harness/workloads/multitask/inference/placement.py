"""Say which parts of a graph an execution provider took, and name those that run elsewhere.

A node that a provider cannot run goes to the processor, and ONNX Runtime says so at no usual level
of its log. Two things of it tell: from release 1.24 on a session lists which nodes of the graph it
gave to whom; and the profile of a query lists what was executed, by provider, with the copies put
in between. Older releases have the profile alone, whose nodes are those after fusion.

What was executed cannot be told node by node: kernels have the names of what they were fused into
(a `Conv` and its `Relu` are one kernel, named like the latter's output), so that most nodes of a
graph are found in no profile although they ran. Only of a provider without any kernel is it certain
that none of its nodes did.

Sources: ONNX Runtime, `onnxruntime_session_options_config_keys.h`
(`session.record_ep_graph_assignment_info`) and "Profiling Tools" (a file of trace events; those of
category `Node` that end in `_kernel_time` are executed nodes).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXECUTED = "_kernel_time"
"""How names of events end that are of a node at work."""

COPIES = ("MemcpyToHost", "MemcpyFromHost")
"""What ONNX Runtime puts between a card and the processor."""

NAMED = 4
"""Nodes that are named on the screen; the record names all."""


@dataclass(frozen=True)
class GraphNode:
    """Name a node of a graph, and the provider that has it; `name` may be that of a fused one."""

    provider: str
    kind: str
    name: str

    @property
    def words(self) -> str:
        """Return kind and name."""
        return f"{self.kind} {self.name}".strip()


@dataclass(frozen=True)
class Placement:
    """Hold who runs the nodes of a graph.

    Attributes:
        asked: The provider that was asked for, by ONNX Runtime's name.
        told_by: `assignment` (nodes of the graph) or `profile` (nodes as executed, after fusion);
            empty if ONNX Runtime told nothing.
        nodes: Number of nodes by provider.
        elsewhere: The nodes that another provider has.
        executed: Number of executed kernels by provider, in one query; copies are not among them.
            What a provider compiles as a whole is one kernel.
        idle: The nodes of providers of which no kernel was executed in a query.
        copies: Copies between a card and the processor in one query.
        left_out: Nodes of the file that nobody has, as they were computed beforehand or merged
            into others; None if that cannot be told.
        why: Why nothing is known.
    """

    asked: str
    told_by: str = ""
    nodes: Mapping[str, int] = field(default_factory=dict)
    elsewhere: Sequence[GraphNode] = ()
    executed: Mapping[str, int] = field(default_factory=dict)
    idle: Sequence[GraphNode] = ()
    copies: int = 0
    left_out: Sequence[str] | None = None
    why: str = ""

    @property
    def took_nothing(self) -> bool:
        """Say whether the provider has no node at all: then something else is measured."""
        return bool(self.told_by) and not self.nodes.get(self.asked)

    @property
    def compiled_only(self) -> Sequence[str]:
        """Return the providers that were given nodes of which none was executed in a query."""
        return list(dict.fromkeys(node.provider for node in self.idle))

    @property
    def words(self) -> str:
        """Say in one sentence where the graph runs."""
        if not self.told_by:
            return f"ONNX Runtime does not tell where nodes run: {self.why}"
        total = sum(self.nodes.values())
        if not self.elsewhere:
            found = f"{self.asked} has all {total} nodes"
        else:
            others = " and ".join(sorted({node.provider for node in self.elsewhere}))
            verb = "is" if len(self.elsewhere) == 1 else "are"
            found = (
                f"{len(self.elsewhere)} of {total} nodes {verb} on {others}, not on {self.asked}:"
                f" {_named(self.elsewhere)}"
            )
        if self.copies:
            found += f"; {self.copies} cop{'y' if self.copies == 1 else 'ies'} in between"
        for name in self.compiled_only:
            own = [node for node in self.idle if node.provider == name]
            found += f"; what {name} has was compiled and not executed: {_named(own)}"
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, every node by name."""
        return {
            "told_by": self.told_by or None,
            "nodes": dict(self.nodes),
            "elsewhere": [[node.provider, node.kind, node.name] for node in self.elsewhere],
            "executed": dict(self.executed),
            "compiled_only": list(self.compiled_only),
            "idle": [[node.provider, node.kind, node.name] for node in self.idle],
            "copies": self.copies,
            "left_out": None if self.left_out is None else list(self.left_out),
            "why": self.why,
        }


def _named(nodes: Sequence[GraphNode]) -> str:
    """Return the first of some nodes by kind and name, and how many more there are."""
    more = len(nodes) - NAMED
    tail = f" and {more} more" if more > 0 else ""
    return ", ".join(node.words for node in nodes[:NAMED]) + tail


def placed(
    asked: str,
    assigned: Sequence[GraphNode] | None,
    executed: Sequence[GraphNode],
    file_nodes: Sequence[tuple[str, str]] = (),
) -> Placement:
    """Return who runs a graph, from what a session lists and what a query executed.

    Args:
        asked: The provider that was asked for, by ONNX Runtime's name.
        assigned: Nodes as they were given to providers; None if the release does not list them.
        executed: Nodes of the profile of one query.
        file_nodes: Kind and name of every node in the file; one without a name is not looked for.
    """
    kernels = [node for node in executed if node.kind not in COPIES]
    listed = kernels if assigned is None else assigned
    if not listed:
        return Placement(asked, why="neither its list of nodes nor its profile holds any")
    known = {node.name for node in listed}
    ran = {node.provider for node in kernels}
    return Placement(
        asked,
        "profile" if assigned is None else "assignment",
        dict(Counter(node.provider for node in listed)),
        tuple(node for node in listed if node.provider != asked),
        dict(Counter(node.provider for node in kernels)),
        tuple(node for node in listed if ran and node.provider not in ran),
        len(executed) - len(kernels),
        None
        if assigned is None
        else [f"{kind} {name}".strip() for kind, name in file_nodes if name and name not in known],
    )


def read_profile(path: Path) -> list[GraphNode]:
    """Return the nodes that the first query in a profile executed; none if it cannot be read."""
    try:
        events = json.loads(path.read_text(errors="replace"))
    except (OSError, ValueError):
        return []
    return executed_nodes(events) if isinstance(events, list) else []


def executed_nodes(events: Iterable[Any]) -> list[GraphNode]:
    """Return the executed nodes among the events of a profile, each once.

    A node is known by its number in the graph; without one, as releases before 1.4 write it, by
    name.
    """
    found: dict[tuple[str, str], GraphNode] = {}
    for event in events:
        if not isinstance(event, dict) or event.get("cat") != "Node":
            continue
        name, about = str(event.get("name", "")), event.get("args")
        if not name.endswith(EXECUTED) or not isinstance(about, dict) or "provider" not in about:
            continue
        node = GraphNode(
            str(about["provider"]), str(about.get("op_name", "")), name[: -len(EXECUTED)]
        )
        found.setdefault((str(about.get("node_index", "")), name), node)
    return list(found.values())
