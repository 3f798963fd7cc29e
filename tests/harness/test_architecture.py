"""Packages import what docs/architecture.md lets them, and the core names no workload."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources import SOURCES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
TREES = ("harness", "devices", "models", "analysis")
MODULES = {
    ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__"): path
    for tree in TREES
    for path in sorted((SOURCES / tree).rglob("*.py"))
}
WORKLOADS = {path.parent.name for path in (SOURCES / "harness" / "workloads").glob("*/__init__.py")}


def table(text: str) -> dict[str, set[str]]:
    """Return what each package may import, from the rows of a page."""
    rules: dict[str, set[str]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            for name in re.findall(r"`([^`]+)`", cells[0]):
                assert name not in rules, f"two rows for {name}"
                rules[name] = set(re.findall(r"`([^`]+)`", cells[2]))
    return rules


def package(module: str, rules: dict[str, set[str]]) -> str:
    """Return the longest name of a row that a module begins with."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in rules), "")


def for_types_alone(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(module: str, tree: ast.AST, typing: bool) -> Iterator[tuple[int, str]]:
    """Yield line and full name of all that a module imports from our own trees."""
    is_package = MODULES.get(module, Path()).name == "__init__.py"
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")
            above = above[: len(above) - node.level + is_package] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{name.name}") for name in node.names)
        elif typing or not for_types_alone(node):
            yield from imports(module, node, typing)
        else:
            yield from imports(module, ast.Module(node.orelse, []), typing)


def allowed(here: str, there: str, rules: dict[str, set[str]]) -> bool:
    below = (name.removesuffix(".*") for name in rules[here] if name.endswith(".*"))
    return (
        there in ("", here)
        or there in rules[here]
        or any(f"{there}.".startswith(f"{name}.") for name in below)
    )


def forbidden(module: str, tree: ast.AST, rules: dict[str, set[str]]) -> list[str]:
    here = package(module, rules)
    return [
        f"{module}:{line} ({here}) imports {name}"
        for line, name in imports(module, tree, typing=False)
        if name.split(".")[0] in TREES and not allowed(here, package(name, rules), rules)
    ]


def names_of(workload: str, tree: ast.AST) -> list[str]:
    """Return where code, imports for types alone included, says the name of a workload."""
    naming = re.compile(rf"(?<![^\W_]){workload}(?![^\W_])")
    found = []
    for node in ast.walk(tree):
        said: list[str] = []
        if isinstance(node, ast.Import | ast.ImportFrom):
            said = [getattr(node, "module", None) or "", *(a.name for a in node.names)]
        elif isinstance(node, ast.Name | ast.Attribute):
            said = [node.id if isinstance(node, ast.Name) else node.attr]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            said = [node.value]
        found += [f"{node.lineno}: {text}" for text in said if naming.search(text)]
    return found


RULES = table(PAGE.read_text(encoding="utf-8"))
PARSED = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def test_every_package_has_a_row_and_every_row_a_package() -> None:
    packages = {".".join(name.split(".")[:2]) for name in MODULES if name.count(".") >= 2}
    missing = {p for p in packages if p.startswith("harness.")} - set(RULES)
    assert missing == set()
    assert set(RULES) - set(MODULES) == set()
    named = {name.removesuffix(".*") for may in RULES.values() for name in may}
    assert named - set(RULES) == set()


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_package_imports_only_what_its_row_allows(name: str) -> None:
    own = {module: tree for module, tree in PARSED.items() if package(module, RULES) == name}
    assert own
    faults = [fault for module, tree in own.items() for fault in forbidden(module, tree, RULES)]
    assert not faults, "\n".join(faults)


def test_the_table_has_no_circle() -> None:
    """Taking away what imports nothing that is left, again and again, leaves nothing."""
    left = {
        name: {other for other in RULES if other != name and allowed(name, other, RULES)}
        for name in RULES
    }
    while left:
        free = {name for name, may in left.items() if not may & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {name: may for name, may in left.items() if name not in free}


@pytest.mark.parametrize("workload", sorted(WORKLOADS))
def test_only_the_registry_and_its_own_commands_know_a_workload(workload: str) -> None:
    own = (f"harness.workloads.{workload}", f"models.{workload}")
    commands = {n for n, may in RULES.items() if own[0] in may and n not in own}
    outside = {
        module: tree
        for module, tree in PARSED.items()
        if module.startswith("harness.")
        and package(module, RULES) not in {*own, *commands}
        and module != "harness.workloads.registry"
    }
    faults = [f"{m}:{where}" for m, tree in outside.items() for where in names_of(workload, tree)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ("import harness.running.cell", 1),
        ("from harness import running", 1),
        ("from ..running import cell", 1),
        ("from . import rows", 0),
        ("def f():\n    from harness.running import cell", 1),
        ("if TYPE_CHECKING:\n    from harness.running import cell", 0),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import harness.running", 1),
        ("try:\n    import harness.running\nexcept ImportError:\n    pass", 1),
        ("import harness.core.errors, json", 0),
    ],
)
def test_an_import_is_found_wherever_it_stands(line: str, faults: int) -> None:
    """The rule is tried on a module of the run folder that is not there."""
    assert len(forbidden("harness.run_folder.invented", ast.parse(line), RULES)) == faults
