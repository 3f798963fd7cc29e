"""Write the report of runs: python -m harness.report RUN.

`python -m analysis.report` is the same, except in a folder with an `analysis` of its own, where
Python looks for it first. This file must parse on Python 3.6, like harness/run.py.
"""

import sys

from harness.core.python_version import refuse_old_python

if __name__ == "__main__":
    refuse_old_python()  # type: ignore[no-untyped-call]
    from analysis.report import main

    sys.exit(main())
