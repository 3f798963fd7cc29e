"""Start a run: python -m harness.run [--device NAME].

This file must parse on Python 3.6, the version of the stock image of the first Jetson Nano, so that
the command people type first can say what is wrong there.
"""

import sys

from harness.core.python_version import refuse_old_python

if __name__ == "__main__":
    refuse_old_python()  # type: ignore[no-untyped-call]
    from harness.cli.run import main

    sys.exit(main())
