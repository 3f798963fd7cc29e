"""Wrong words are answered with the nearest right ones; help breaks between words alone."""

import pytest

from harness.core.errors import SeveralProblems, UnknownNameError
from harness.core.parser import Parser, read_options


def parser() -> Parser:
    found = Parser(prog="python -m harness.run", allow_abbrev=False)
    found.add_argument("--methods", metavar="LIST", help="names as in " + "all-in-one," * 12)
    found.add_argument("--seeds")
    for number in range(40):
        found.add_argument(f"--other-{number}")
    return found


def test_an_unknown_option_names_the_nearest_and_not_all() -> None:
    with pytest.raises(UnknownNameError) as caught:
        read_options(parser(), ["--mehtods", "mas"])
    assert "--methods" in caught.value.remedy
    assert "--other-7" not in caught.value.remedy
    assert "python -m harness.run --help" in caught.value.remedy


def test_every_unknown_option_is_named_at_once() -> None:
    with pytest.raises(SeveralProblems) as caught:
        read_options(parser(), ["--mehtods", "mas", "--sed=3"])
    assert len(caught.value.problems) == 2


def test_a_misspelt_option_is_named_beside_the_one_that_is_missing() -> None:
    strict = Parser(prog="x", allow_abbrev=False)
    strict.add_argument("--server", required=True)
    with pytest.raises(SeveralProblems, match="unknown option '--serer'"):
        read_options(strict, ["--serer=a"])


def test_names_in_help_are_never_broken() -> None:
    text = parser().format_help()
    assert "\n" in text
    assert not any(line.rstrip().endswith("all-in-") for line in text.splitlines())


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_options(parser(), ["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("mas-edge-harness 0.")
