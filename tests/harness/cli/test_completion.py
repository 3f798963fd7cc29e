"""The shells complete commands, options, and the names that stand behind them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.cli.completion import SHELLS, main

pytest.importorskip("shtab")


def completed(script: Path, *words: str) -> list[str]:
    """Return what bash offers for the last of some words."""
    call = (
        f"source {script}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1};"
        " _shtab_edge_harness; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", call], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "edge-harness"
    with pytest.MonkeyPatch.context() as patched, path.open("w") as file:
        patched.setattr("sys.stdout", file)
        assert main(["bash"]) == 0
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("mea",), "measure"),
        (("run", "--share"), "--share-jobs"),
        (("run", "--device", "jetson-orin-na"), "jetson-orin-nano"),
        (("fleet", "node", "--par"), "--partition"),
        (("list", "meth"), "methods"),
        (("data", "import", "tas"), "taskonomy"),
    ],
    ids=str,
)
def test_bash_offers(script: Path, words: tuple[str, ...], offered: str) -> None:
    assert offered in completed(script, "edge-harness", *words)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([shell]) == 0
    assert "edge-harness" in capsys.readouterr().out


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bsah"]) == 2
    assert "'bash'" in capsys.readouterr().err
