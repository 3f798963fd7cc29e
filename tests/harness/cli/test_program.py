"""The one program lists its commands and starts each."""

import subprocess
import sys

import pytest

from harness.cli.program import help_text, main, parser_of
from harness.core.launching import PARTS, TITLES


def test_without_words_it_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr().out
    assert all(f"\n  {command} " in said for command in TITLES)
    assert max(map(len, help_text().splitlines())) <= 80


def test_a_wrong_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mesure"]) == 2
    assert "'measure'" in capsys.readouterr().err


def test_a_command_is_started_with_its_status() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "check", "nowhere"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "nowhere" in done.stderr


WHOLE = [command for command in TITLES if command not in PARTS]
WITHIN = [f"{command} {part}" for command in PARTS for part in PARTS[command]]


@pytest.mark.parametrize("command", [*WHOLE, *WITHIN])
def test_every_command_hands_out_its_parser_and_says_its_version(command: str) -> None:
    parser = parser_of(command)
    assert parser.prog.endswith(command)
    assert "--version" in parser.format_help()
    assert "hand-out" not in parser.format_help()
