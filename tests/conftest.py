"""Keep what whole runs set for their process away from other tests."""

import signal
from collections.abc import Iterator

import pytest

from devices import extensions


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Train on one thread; how many there are changes no result these tests look at.

    Two threads that wait for a third process cost minutes, and whole runs set how many there are.
    They also make numbers next to 0 zero, which Hypothesis would find.
    """
    import torch  # noqa: PLC0415 - only once tests run

    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each test begin with nothing from outside, and leave nothing of it."""
    monkeypatch.delenv(extensions.VARIABLE, raising=False)
    yield
    extensions.forget()


@pytest.fixture(autouse=True, scope="session")
def heard_interrupts() -> None:
    """Let programs that tests start hear Ctrl-C, which a shell's background jobs do not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
