"""Say whose joules a figure holds on a host that has a GPU beside its processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devices.accelerator import GPU
from devices.meters.base import MeterInfo
from devices.meters.scopes import SEPARATE, components
from harness.measurement.choice import ChosenMeters

BUSY = 0.1
"""Share of the time from which on a GPU did more than draw the screen."""

ORDER = ("processor", "memory", "gpu")
NAMES = {"gpu": "GPU"}


@dataclass(frozen=True)
class Coverage:
    """Hold what the joules of a host cover, and whose figures model them.

    Attributes:
        parts: Components that the meters cover, as `processor`; empty without a meter.
        gpu: Whether the GPU's joules are in it; None if the host has none, or that is not known.
        gpu_reason: Why the GPU has no meter of its own.
        cards: Cards whose joules are in it, by model and UUID.
        modelled: Whose figures the power model takes, `cpu` or `gpu`; empty where there is no GPU.
    """

    parts: tuple[str, ...] = ()
    gpu: bool | None = None
    gpu_reason: str = ""
    cards: tuple[str, ...] = ()
    modelled: str = ""

    def words(self) -> str:
        """Return what is in the measured joules; empty where that is no question."""
        if self.gpu is None:
            return ""
        if self.parts == ("gpu",):
            return f"the GPU alone{self._cards()}, without the processor"
        if not set(self.parts) <= SEPARATE:
            return "all of it, processor and GPU"
        named = [NAMES.get(part, part) for part in self.parts]
        text = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
        if self.gpu:
            return f"{text}{self._cards()}"
        return f"{text}, not the GPU" + (f": {self.gpu_reason}" if self.gpu_reason else "")

    def model_words(self, gpu_utilisation: float | None) -> str:
        """Return whose figures modelled joules rest on; empty where that is no question."""
        if not self.modelled:
            return ""
        if self.modelled == GPU:
            return "with the figures of the GPU"
        if gpu_utilisation is None or gpu_utilisation < BUSY:
            return "with the figures of the processor"
        return "with the figures of the processor, but the GPU was busy: --accelerator gpu"

    def _cards(self) -> str:
        return f" ({'; '.join(self.cards)})" if self.cards else ""


def coverage(chosen: ChosenMeters, infos: Sequence[MeterInfo]) -> Coverage:
    """Return what meters that run cover of the host that was chosen."""
    found = components("+".join(info.scope for info in infos)) if infos else frozenset()
    parts = (*(p for p in ORDER if p in found), *sorted(found - set(ORDER)))
    modelled = "" if chosen.profile is None or chosen.profile.gpu is None else chosen.accelerator
    if not chosen.has_gpu:
        return Coverage(parts)
    unknown = not parts or "other" in parts
    held = None if unknown else "gpu" in parts or not set(parts) <= SEPARATE
    cards = tuple(name for info in infos for name in _cards_of(info))
    return Coverage(parts, held, chosen.gpu_reason, cards, modelled)


def _cards_of(info: MeterInfo) -> list[str]:
    """Return the cards of the GPUs' own meter, which notes each under the name of its rail."""
    if components(info.scope) != {"gpu"}:
        return []
    heads = tuple(f"{rail.name}: " for rail in info.rails)
    notes = (note.partition(": ")[2] for note in info.notes if note.startswith(heads))
    return [note for note in notes if "GPU-" in note]
