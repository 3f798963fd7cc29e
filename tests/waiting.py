"""Wait for other processes; limits only end what hangs, far above what a slow machine needs."""

import time
from collections.abc import Callable

LIMIT_S = 600.0


def wait_for(
    condition: Callable[[], bool], what: str = "waited in vain", limit_s: float = LIMIT_S
) -> None:
    """Poll until true.

    Give a limit where what is waited for would come by itself later.

    Raises:
        AssertionError: if it never is; with `what`.
    """
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.01)
