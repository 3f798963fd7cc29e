"""Start PyTorch in a process of its own, since a build for other cores ends the one it is in.

A package's metadata does not show that its machine code runs here; only running it does.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Sequence

LIMIT_S = 60.0
"""Importing takes a Raspberry Pi 3 some twenty seconds when nothing is cached."""

LONGEST_WORDS = 160
STEP = """
import torch
layer = torch.nn.Conv2d(3, 4, 3)
loss = layer(torch.ones(2, 3, 8, 8)).mean() + (torch.ones(16, 16) @ torch.ones(16, 16)).mean()
loss.backward()
torch.optim.SGD(layer.parameters(), lr=0.1).step()
"""
"""A training step in small: an import alone does not reach the kernels for special processors."""


class TorchTrial:
    """Take one small training step in another process, while this one does other things."""

    def __init__(self, words: Sequence[str] = (sys.executable, "-c", STEP)) -> None:
        self._process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def fault(self, limit_s: float = LIMIT_S) -> str | None:
        """Return why it failed; empty if it did not, None if it has not ended in time."""
        with self._process:
            try:
                _, errors = self._process.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                return None
        return describe(self._process.returncode, errors.decode("utf-8", "replace"))


def describe(status: int, errors: str) -> str:
    """Say what an exit status and the error output of a process mean; empty if all went well."""
    if status == 0:
        return ""
    if status == -signal.SIGILL:
        return "dies on this processor: illegal instruction (SIGILL)"
    if status < 0:
        return f"dies here, killed by {_signal_name(-status)}"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    words = re.sub(r"[^ -~]", "?", lines[-1] if lines else f"exit status {status}")
    return f"does not work here: {words[:LONGEST_WORDS]}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
