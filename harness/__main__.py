"""List the commands, or start one: python -m harness [COMMAND ...], or the script edge-harness.

This file must parse on Python 3.6, like harness/run.py.
"""

import sys

from harness.core.python_version import refuse_old_python


def main() -> int:
    """Do what the words of the command line ask for and return the exit status."""
    refuse_old_python()  # type: ignore[no-untyped-call]
    from harness.cli.program import main as start  # noqa: PLC0415

    return start()


if __name__ == "__main__":
    sys.exit(main())
