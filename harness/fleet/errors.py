"""Hold the errors of a fleet."""

from __future__ import annotations

from harness.errors import EXIT_DEVICE, EXIT_USAGE, HarnessError


class FleetError(HarnessError):
    """Report that devices, or what is between them and the server, do not do what a run needs."""

    code = "fleet"
    exit_status = EXIT_DEVICE


class RefusedError(HarnessError):
    """Report an answer that cannot be used, and whose it is."""

    code = "refused"
    exit_status = EXIT_USAGE
