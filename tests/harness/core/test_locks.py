"""A lock is held by one process at a time, never through a link, and ends when it is closed."""

import os
from pathlib import Path

import pytest

from harness.core.locks import is_locked, open_lock, try_lock, waiting_lock


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    first, second = open_lock(path), open_lock(path)
    assert try_lock(first)
    assert is_locked(path)
    assert not try_lock(second)
    os.close(first)
    assert try_lock(second)
    os.close(second)
    assert not is_locked(path)


def test_a_folder_can_be_held_and_says_nothing_if_nobody_else_does(tmp_path: Path) -> None:
    with waiting_lock(open_lock(tmp_path), lambda: pytest.fail("nobody is waited for")):
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


def test_neither_link_nor_pipe_is_followed(tmp_path: Path) -> None:
    """A link to a file elsewhere is refused; asking after a pipe does not wait for a writer."""
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / "link").symlink_to(other)
    with pytest.raises(OSError, match="link"):
        open_lock(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    assert not is_locked(tmp_path / "pipe")
    assert other.read_text() == "kept"
