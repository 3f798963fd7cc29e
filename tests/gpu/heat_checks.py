"""Check on a GPU what its driver tells of heat, power and memory, and what asking costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from statistics import median

import torch

from devices.accelerator import Accelerator
from devices.card_state import CardState, read_card, read_reasons
from devices.card_watch import CardWatch, open_cards
from tests.gpu.failing import CheckFailedError

WORK_S = 6.0
LOOKS = 20
SIDE = 4096
NOT_NEEDED = ("slowed_ns", "lost")


def what_the_driver_tells(card: Accelerator) -> Sequence[tuple[str, str, str]]:
    """Look at the card that trains while it works, and say what is not told.

    Raises:
        CheckFailedError: if NVML cannot be asked for a card of a computer, or tells of another one.
    """
    with open_cards(card.uuid) as cards:
        if cards is None:
            if card.shared_memory:
                return [("NVML", "cannot be asked, as on most Jetsons", "")]
            raise CheckFailedError("NVML cannot be asked: pip install nvidia-ml-py")
        watched = CardWatch(card.uuid)
        _work(WORK_S)
        flags = watched.stop()
        state = read_card(cards.nvml, cards.handles[0])
        looks_s = [_seconds(lambda: read_card(cards.nvml, cards.handles[0])) for _ in range(LOOKS)]
        reasons_s = [
            _seconds(lambda: read_reasons(cards.nvml, cards.handles[0])) for _ in range(LOOKS)
        ]
    if card.uuid.startswith("GPU-") and state.uuid != card.uuid:
        raise CheckFailedError(f"NVML told of {state.uuid}, and {card.uuid} trains")
    return [
        (f"flags of {WORK_S:g} s of matrix products", ", ".join(flags) or "none", ""),
        ("temperature then, slows down at, shuts off at", _degrees(state), ""),
        ("not told", ", ".join(_silent(state)) or "nothing", ""),
        ("one look at everything", f"{1e3 * median(looks_s):.2f} ms", ""),
        ("one look at reasons, taken once a second", f"{1e3 * median(reasons_s):.2f} ms", ""),
    ]


def _work(seconds: float) -> None:
    values = torch.randn(SIDE, SIDE, device="cuda")
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        torch.mm(values, values)
        torch.cuda.synchronize()


def _degrees(state: CardState) -> str:
    told = (state.temperature_c, state.slows_at_c, state.stops_at_c)
    return ", ".join("not told" if value is None else f"{value:.0f} °C" for value in told)


def _silent(state: CardState) -> list[str]:
    """Name what the driver does not tell."""
    names = [field.name for field in fields(state) if field.name not in NOT_NEEDED]
    silent = [name for name in names if getattr(state, name) is None]
    return silent if state.slowed_ns else [*silent, "slowed_ns"]


def _seconds(call: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    call()
    return time.perf_counter() - start_s
