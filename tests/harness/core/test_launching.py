"""Commands are named as they were typed, and every command has a module."""

import importlib.util

import pytest

from harness.core.launching import TITLES, module_of, typed_name


@pytest.mark.parametrize(
    ("words", "command", "name"),
    [
        (["python", "-m", "harness.run"], "run", "python -m harness.run"),
        (["python", "-m", "harness", "run"], "run", "python -m harness run"),
        (["python", "/usr/bin/edge-harness", "run"], "run", "edge-harness run"),
        (["python", "-m", "analysis.report"], "report", "python -m harness.report"),
        (["python", "-m", "harness.fleet"], "fleet node", "python -m harness.fleet node"),
        (["python", "train.py"], "run", "python -m harness.run"),
    ],
)
def test_a_command_is_named_as_typed(words: list[str], command: str, name: str) -> None:
    assert typed_name(command, words) == name


def test_every_command_has_a_module_and_a_title_of_one_line() -> None:
    for command, title in TITLES.items():
        assert importlib.util.find_spec(module_of(command)) is not None, command
        assert len(title) < 66, command
