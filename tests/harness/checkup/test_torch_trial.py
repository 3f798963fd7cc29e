"""A PyTorch that dies is found by starting it, and its end is put into words."""

import signal
import sys

import pytest

from harness.checkup.torch_trial import TorchTrial, describe


def trial(code):
    return TorchTrial((sys.executable, "-c", code))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("pass", ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "illegal instruction (SIGILL)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("raise ImportError('libx.so.1: no such file')", "ImportError: libx.so.1: no such file"),
        ("raise SystemExit(4)", "exit status 4"),
    ],
)
def test_end_of_a_process(code, words):
    """A signal is named, an error is quoted; a process that ends well has no fault."""
    fault = trial(code).fault()
    assert fault is not None
    assert words in fault
    assert (fault == "") == (words == "")


def test_late_process_is_no_fault():
    """What has not ended in time is not known to be broken, and is not left behind."""
    late = trial("import time; time.sleep(60)")
    assert late.fault(0.3) is None
    assert late._process.returncode == -signal.SIGKILL


def test_this_pytorch_works():
    """The step that is tried is one that this interpreter's PyTorch takes."""
    assert TorchTrial().fault() == ""


def test_escape_sequences_are_not_passed_on():
    """An error that would colour a terminal arrives as plain text."""
    assert "\x1b" not in describe(1, "\x1b[31mbroken\x1b[0m\n")
