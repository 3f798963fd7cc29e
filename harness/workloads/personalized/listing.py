"""List what this workload has: methods, families of networks, data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from harness.records.listing import Item
from harness.workloads.personalized.methods.registry import METHODS
from models.personalized.families import FAMILIES, parameters

FASHION = Path("/usr/share/datasets/fashion-mnist")
LEGEND = (
    "[ ] holds defaults. pfedclub's accuracy says nothing without local and smooth, the control"
    " whose teacher knows nothing: run them too (docs/personalized.md)."
)


def _methods(_: str) -> Iterable[Item]:
    for method in METHODS.values():
        below = (f"sends {method.sends}; from {method.source}",
                 *(p.help for p in method.parameters))  # fmt: skip
        more = {
            "sends": method.sends, "source": method.source,
            "parameters": [{"name": p.name, "default": p.default, "meaning": p.meaning}
                           for p in method.parameters],
        }  # fmt: skip
        yield Item(method.name, True, method.meaning, more, below)


def _models(_: str) -> Iterable[Item]:
    usable = find_spec("torch") is not None
    for family in FAMILIES.values():
        size = parameters(family.name, (1, 8, 8), 10)
        text = f"{family.meaning}; {size:,} parameters at 8×8"
        gets = f"by-device: from {family.flop_per_s / 1e9:g} GFLOP/s of training on"
        more = {"parameters_8x8": size, "from_flop_per_s": family.flop_per_s}
        yield Item(family.name, usable, text, more, (gets,))


def _datasets(_: str) -> Iterable[Item]:
    yield Item("digits", True, "1,797 handwritten digits of 8×8, shipped (UCI, CC BY 4.0)")
    yield Item("glyphs", True, "drawn glyphs of 16×16, every client in a hand of its own")
    there = FASHION.is_dir()
    text = "70,000 garments of 28×28; "
    text += str(FASHION) if there else "not here: apt install dataset-fashion-mnist (Debian)"
    yield Item("fashion-mnist", there, text)
    pillow = find_spec("PIL") is not None
    text = "images by path: DIR/CLASS/*.png, and perhaps DIR/public"
    yield Item("folder", pillow, text + ("" if pillow else "; needs Pillow"))


LISTS: Mapping[str, Callable[[str], Iterable[Item]]] = {
    "methods": _methods, "models": _models, "datasets": _datasets,
}  # fmt: skip
