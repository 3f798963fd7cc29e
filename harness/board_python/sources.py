"""Collect the modules that training under another Python needs, rewritten for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from harness.board_python.dialect import MODERN, rewritten

PROGRAM = "board_program"
HERE = Path(__file__).parent
OWN = ("harness", "devices", "models")
"""Packages whose modules are sent beside those of the workload, where it needs them."""


@lru_cache(maxsize=8)
def collected(modules: tuple[str, ...]) -> dict[str, str]:
    """Return source by name: of the modules, of all they import from their own packages.

    Raises:
        SyntaxError: if one of them says what Python 3.6 cannot.
    """
    tops = {*OWN, *(name.partition(".")[0] for name in modules)}
    found: dict[str, str] = {}
    left = list(modules)
    while left:
        name = left.pop()
        path = _place(name)
        if name in found or path is None:
            continue
        source = path.read_text(encoding="utf-8")
        left += [other for other in _imported(source) if other.partition(".")[0] in tops]
        found[name] = rewritten(source, name)
    own = {MODERN: "modern.py", PROGRAM: "program.py"}
    return {**found, **{name: (HERE / file).read_text("utf-8") for name, file in own.items()}}


def _place(name: str) -> Path | None:
    """Return where a module's text lies, without running it; None for a name within a module."""
    package, _, last = name.rpartition(".")
    if not package:
        spec = find_spec(name)
        return None if spec is None or spec.origin is None else Path(spec.origin)
    parent = _place(package)
    if parent is None or parent.name != "__init__.py":
        return None
    choices = (parent.parent / f"{last}.py", parent.parent / last / "__init__.py")
    return next((path for path in choices if path.is_file()), None)


def _imported(source: str) -> Iterator[str]:
    """Yield what a module may import: every dotted name of its imports but for types alone."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and _names(node.test) == ["TYPE_CHECKING"]:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        waiting += ast.iter_child_nodes(node)


def _names(node: ast.expr) -> Sequence[str]:
    return [node.id] if isinstance(node, ast.Name) else []
