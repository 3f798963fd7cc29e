"""A command that cannot go on says so in words, and its status says of what kind that is."""

import errno
import os

import pytest

from harness.core.command_frame import framed, run_command
from harness.core.parser import Parser


def raising(error: BaseException):
    def action() -> int:
        raise error

    return action


@pytest.mark.parametrize(
    ("number", "path", "status", "code"),
    [
        (errno.EACCES, "/etc/x", 9, "storage"),
        (errno.ENOENT, "/proc/x", 9, "storage"),
        (errno.EROFS, "/sys/x", 9, "storage"),
        (errno.ENOSPC, "/full/x", 9, "disk-full"),
        (errno.ENOSPC, None, 9, "disk-full"),  # a write tells no name
        (errno.EDQUOT, "/home/x", 9, "disk-full"),
        (errno.ENAMETOOLONG, "x" * 300, 2, "usage"),
        (errno.ELOOP, "/a/b", 2, "usage"),
    ],
)
def test_a_file_that_cannot_be_is_named_with_the_reason(number, path, status, code, capsys) -> None:
    assert framed(raising(OSError(number, os.strerror(number), path))) == status
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith(f"{os.strerror(number)} [{code}]")
    assert (path or "")[:80] in first
    assert len(first) < 200
    assert second.startswith("  ")


def test_trouble_with_no_file_stays_a_fault_of_the_program() -> None:
    """A broken connection, a missing module of our own: hiding them would help nobody."""
    for error in (OSError(errno.ECONNRESET, "reset"), ModuleNotFoundError("x", name="harness.x")):
        with pytest.raises(type(error)):
            framed(raising(error))


def test_ctrl_c_ends_with_the_words_of_the_command(capsys) -> None:
    parser = Parser(prog="x")
    words = "interrupted: the same command goes on"
    assert run_command(parser, [], lambda _: raising(KeyboardInterrupt())(), words) == 130
    assert capsys.readouterr().err == f"{words}\n"


def test_a_reader_that_went_away_is_no_error(capsys) -> None:
    """As in `| head -1`: what shells give a program killed by SIGPIPE, and not a word."""
    assert framed(raising(BrokenPipeError())) == 141
    assert capsys.readouterr().err == ""
