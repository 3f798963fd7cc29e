"""A run folder that came from somebody else cannot make a run touch other files of the user."""

import os

import pytest

from harness.cli.check import main as check
from harness.core.errors import DamagedRunError, StorageError
from harness.core.guarded_folder import guard
from harness.run_folder.lock import is_running, run_lock
from harness.running.limits import Limits
from tests.harness.run_folder.conftest import only

PRECIOUS = "years of work\n"


@pytest.fixture
def precious(tmp_path):
    path = tmp_path / "thesis.txt"
    path.write_text(PRECIOUS)
    return path


@pytest.fixture
def stopped(runner, tmp_path):
    runner.run(tmp_path / "out", limits=Limits(time_s=1e-9))
    return tmp_path / "out"


@pytest.mark.parametrize(
    "name", ["events.jsonl", "cells.csv.part", "affinity/x.csv", "checkpoints/x.partial"]
)
def test_a_run_does_not_go_on_in_a_folder_with_links(runner, stopped, precious, name) -> None:
    """The link is named; what it leads to is as it was."""
    link = only(stopped) / name
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(precious)
    with pytest.raises(DamagedRunError, match=link.name):
        runner.run(stopped)
    assert precious.read_text() == PRECIOUS


def test_a_lock_that_is_a_link_is_not_written_through(tmp_path, precious) -> None:
    (tmp_path / "lock").symlink_to(precious)
    assert not is_running(tmp_path)
    with pytest.raises(StorageError), run_lock(tmp_path):
        pass
    assert precious.read_text() == PRECIOUS


def test_pipes_are_not_waited_for(tmp_path, capsys) -> None:
    """A pipe in the place of a lock or a table would let a program wait for ever."""
    os.mkfifo(tmp_path / "lock")
    assert not is_running(tmp_path)
    with pytest.raises(DamagedRunError, match="lock"):
        guard(tmp_path)
    os.mkfifo(tmp_path / "manifest.json")
    assert check([str(tmp_path)]) == 7
    assert "neither a file nor a folder" in capsys.readouterr().out


def test_plain_files_and_folders_are_fine(tmp_path, precious) -> None:
    (tmp_path / "inner").mkdir()
    guard(tmp_path)
