"""Keep tests off the second core: two threads that wait for a third process cost minutes."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Train on one thread; how many there are changes no result these tests look at."""
    import torch  # noqa: PLC0415 - only once tests run

    torch.set_num_threads(1)
