"""End commands that measure: with a report, and with all files readable when they are stopped."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.shell_words import shell_word
from harness.evidence.overview_page import write_overview


def report_on(path: Path) -> Path | None:
    """Write the report; where that fails the run is still whole, so say how to make it later."""
    try:
        from analysis.report import write_report  # noqa: PLC0415

        try:
            return write_report([path], None).page
        except HarnessError as error:
            why = (
                f"{error.message.rstrip('.')} ({error.remedy.rstrip('.')})"
                if error.remedy
                else error.message
            )
        except OSError as error:
            why = str(error)
        except KeyboardInterrupt:
            why = "interrupted"
    except ModuleNotFoundError as error:  # pandas is imported late, and matplotlib later
        why = f"{error.name} is not installed"
    print(f"\nNo report: {why}. To make it later:\n  python -m harness.report {shell_word(path)}")
    return None


def list_on_page(out: Path) -> None:
    """Write the page that lists the runs of a folder; a run does not fail for want of it."""
    with contextlib.suppress(OSError, HarnessError):
        write_overview(out)


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: with all files readable."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
