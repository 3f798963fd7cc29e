"""A recipe for a container takes along everything that the package is built from."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = sorted(
    path for path in (ROOT / "devices" / "containers").rglob("*")
    if path.name in ("Containerfile", "Dockerfile")
)  # fmt: skip


def needed() -> set[str]:
    """Return what building the wheel reads of the tree, as pyproject.toml names it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = re.search(r"^packages = \[(.*)\]$", text, re.M)
    forced = re.search(r"force-include\]\n((?:\".*\n)+)", text)
    readme = re.search(r'^readme = "(.*)"$', text, re.M)
    licences = re.search(r"^license-files = \[(.*)\]$", text, re.M)
    assert packages is not None
    assert forced is not None
    assert readme is not None
    assert licences is not None
    quoted = re.findall(r'"([^"]+)"', packages[1] + licences[1])
    return {"pyproject.toml", readme[1], *quoted, *re.findall(r'^"([^"]+)" =', forced[1], re.M)}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.parent.name)
def test_it_copies_what_the_wheel_is_built_from(recipe: Path) -> None:
    copied = {word for line in re.findall(r"^COPY (?!--from)(.+) \S+$", recipe.read_text(), re.M)
              for word in line.split()}  # fmt: skip
    shown = recipe.with_name(f"{recipe.name}.dockerignore").read_text().splitlines()
    assert needed() <= copied
    assert needed() <= {line[1:] for line in shown if line.startswith("!")}
