"""Run every benchmark and print its table."""

from __future__ import annotations

import os

import torch

from tests.benchmarks import parts


def main() -> None:
    """Print the tables, timed on all cores this process may use."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.set_flush_denormal(True)
    print("\n".join(parts.report()))


if __name__ == "__main__":
    main()
