"""Build whole fake hosts from the board fixtures."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import wait_for

BOARDS = Path(__file__).parents[1] / "fixtures" / "boards"


def write_tree(root: Path, lines: list[str]) -> None:
    """Write `path<TAB>content` lines as files."""
    for line in lines:
        path, _, content = line.partition("\t")
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        for escape, character in (("\\n", "\n"), ("\\t", "\t"), ("\\0", "\0")):
            content = content.replace(escape, character)
        target.write_text(content)


@pytest.fixture
def board(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that builds a named board and gives its root."""

    def build(name: str) -> Path:
        root = tmp_path / name
        write_tree(root, (BOARDS / f"{name}.tsv").read_text().splitlines())
        return root

    return build


class FakeClock:
    """Stand still until told to move."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test moves."""
    return FakeClock()


def no_process_of_group(pid: int) -> bool:
    """Look for live processes of the group; dead ones may wait long for a lazy init."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == pid and state != "Z":
            return False
    return True


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Return a function that waits until a condition holds."""
    return wait_for


@pytest.fixture
def group_is_gone() -> Callable[[int], bool]:
    """Return a function that says whether no process of a group lives any more."""
    return no_process_of_group
