"""Refuse a Python that is too old, in words that it can still print (this file parses on 3.6)."""

import sys

NEEDED = (3, 10)


def refuse_old_python(version=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Exit with status 2 and a remedy if the interpreter is older than needed."""
    found = tuple((version or sys.version_info)[:2])
    if found >= NEEDED:
        return
    sys.stderr.write(
        "error: Python {}.{} is too old, {}.{} or newer is needed [old-python]\n".format(
            *(found + NEEDED)
        )
        + "  On a Jetson with JetPack 4 or 5 (Python 3.6 or 3.8) use the container: see\n"
        + "  docs/jetson-nano.md, or type  sh devices/containers/jetson-nano/run.sh\n"
        + "  The board's GPU trains under this Python all the same: there add\n"
        + "  --board-python {}  (docs/jetson-nano.md, section 5).\n".format(
            sys.executable or "/usr/bin/python3"
        )
        + "  On any other computer,\n"
        + "  python3 -m harness.run --device jetson-nano  models the board's time and energy.\n"
    )
    sys.exit(2)
