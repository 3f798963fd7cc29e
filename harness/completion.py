"""Print what a shell needs to complete the commands: edge-harness completion bash|zsh|tcsh.

This file must parse on Python 3.6, like harness/run.py.
"""

import sys

from harness.core.python_version import refuse_old_python

if __name__ == "__main__":
    refuse_old_python()  # type: ignore[no-untyped-call]
    from harness.cli.completion import main

    sys.exit(main())
