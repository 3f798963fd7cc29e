"""Say what a run's models cost when they are used: python -m harness.infer RUN.

This file must parse on Python 3.6, like harness/run.py.
"""

import sys

from harness.core.python_version import refuse_old_python

if __name__ == "__main__":
    refuse_old_python()  # type: ignore[no-untyped-call]
    from harness.cli.infer import main

    sys.exit(main())
