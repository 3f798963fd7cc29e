"""Teach the embedded language model: python -m harness.workloads.lora.commands.teach --out FILE.

Writes the safetensors file that is shipped. On one thread of the same processor and build of torch
the bytes come out the same; elsewhere the last bits may differ, and so the hash.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

STEPS = 3000
ROWS = 64
RATE = 4e-3
SEED = 1


def main(words: Sequence[str] | None = None) -> int:
    """Teach, say how it goes, write the file."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.workloads.lora.commands.teach", description=__doc__
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="safetensors file to write")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"training steps [{STEPS}]")
    options = parser.parse_args(words)
    from harness.workloads.lora.base.embedded import save  # noqa: PLC0415 - imports torch
    from harness.workloads.lora.base.teaching import teach  # noqa: PLC0415

    net = teach(options.steps, ROWS, RATE, SEED, lambda text: print(text, flush=True))
    Path(options.out).write_bytes(save(net))
    return 0


if __name__ == "__main__":
    sys.exit(main())
