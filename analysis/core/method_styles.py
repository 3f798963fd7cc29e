"""One look per method and per phase, the same in every figure; needs no plotting package.

Colour is never alone: markers, hatches and lines differ as well, so figures read in grey.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

METHOD_COLOURS: Mapping[str, str] = {
    "independent": "#0072B2",
    "all-in-one": "#009E73",
    "mas": "#D55E00",
    "tag": "#CC79A7",
    "hoa": "#E69F00",
    "gradnorm": "#56B4E9",
    "fedprox": "#332288",
    "standalone": "#000000",
    "pcgrad": "#117733",
    "random-split": "#999999",
    "best-split": "#882255",
    "worst-split": "#AA8844",
    "mas-plus": "#6B1D00",
    "flora": "#D55E00",
    "fedit": "#0072B2",
    "zeropad": "#44AA99",
    "hetlora": "#56B4E9",
    "ffa-lora": "#CC79A7",
    "flexlora": "#009E73",
    "fedex": "#E69F00",
    "full": "#332288",
    "local": "#999999",
    "central": "#000000",
}
"""Okabe and Ito's palette (2008), then Paul Tol's muted one; safe for common colour blindness."""

MORE_LOOKS: Mapping[str, tuple[str, str]] = {
    "local": ("#555555", "o"),
    "smooth": ("#E69F00", "s"),
    "local+public": ("#000000", "*"),
    "kd-public": ("#AA8844", "d"),
    "fedavg": ("#117733", "<"),
    "fedmd": ("#009E73", "P"),
    "fedgh": ("#56B4E9", "v"),
    "feddf": ("#332288", "X"),
    "fccl": ("#88CCEE", "p"),
    "fedproto": ("#CC79A7", "^"),
    "heterofl": ("#882255", ">"),
    "fedkemf": ("#661100", "h"),
    "pfedhr": ("#D55E00", "H"),
    "pfedclub": ("#0072B2", "D"),
}
"""Colour and marker of methods that are not seen beside those above."""

LATER_LOOKS: Mapping[str, tuple[str, str, str]] = {
    "fedavgm": ("#44AA99", "8", "o.."),
    "fedadam": ("#808000", "H", "xx.."),
    "fedyogi": ("#AA4499", "+", "++.."),
    "fednova": ("#AADDFF", "x", "--.."),
    "scaffold": ("#DDCC77", "1", "\\\\||"),
    "mas-together": ("#004466", "2", "//--"),
    "apart": ("#F0E442", "3", "O.."),
    "mat-fl": ("#7F4FC9", "4", "*//"),
    "fedhca2": ("#CC6677", "|", "oo--"),
    "tuned-weights": ("#E010E0", "$w$", "/"),
    "uncertainty": ("#55E010", "$U$", "|.."),
    "famo": ("#1010E0", "$F$", "-/"),
    "db-mtl": ("#10E0BB", "$B$", "\\o"),
    "cagrad": ("#88E055", "$C$", "x.."),
    "aligned-mtl": ("#BB1010", "$A$", "+o"),
    "nash-mtl": ("#E01055", "$N$", "*.."),
    "fairgrad": ("#10BB10", "$G$", "O/"),
    "imtl-g": ("#5510BB", "$I$", "-+"),
    "mgda": ("#10E055", "$M$", "|*"),
}
"""Colour, marker and hatch of methods that came when all of those above were taken; in the end
letters are markers."""

OTHER_COLOURS = ("#44AA99", "#999933", "#AA4499", "#88CCEE", "#661100")
"""For methods not named above, from Paul Tol's muted scheme."""

PIECE_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", *OTHER_COLOURS)
"""Of the pieces of a bar that are neither methods nor phases of one."""

REST_COLOUR = "#BBBBBB"
"""Of what the pieces leave over."""

METHOD_MARKERS: Mapping[str, str] = {
    "independent": "o",
    "all-in-one": "s",
    "mas": "D",
    "tag": "^",
    "hoa": "v",
    "gradnorm": "P",
    "fedprox": "X",
    "standalone": "*",
    "pcgrad": "<",
    "random-split": "p",
    "best-split": ">",
    "worst-split": "d",
    "mas-plus": "h",
    "flora": "8",
    "fedit": "H",
    "zeropad": "s",
    "hetlora": "d",
    "ffa-lora": "v",
    "flexlora": "^",
    "fedex": "X",
    "full": "*",
    "local": "<",
    "central": ">",
}
OTHER_MARKERS = ("8", "H")
HATCHES = (
    "///", "\\\\\\", "xxx", "...", "+++", "ooo", "---", "|||", "//..", "\\\\..", "OO", "**", "||..",
)  # fmt: skip
"""One for each method named above, in their order."""
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
SHADES = (0.0, 0.3, -0.3, 0.5, -0.5)

PHASE_COLOURS: Mapping[str, str] = {
    "train": "#0072B2",
    "affinity": "#D55E00",
    "aggregate": "#009E73",
    "communicate": "#CC79A7",
    "evaluate": "#E69F00",
    "idle": "#BBBBBB",
    "warm-up": "#F0E442",
    "cool-down": "#56B4E9",
    "distil": "#004466",
    "likeness": "#117733",
    "group": "#44AA99",
    "search": "#999933",
    "stitch": "#88CCEE",
    "tune": "#882255",
    "match": "#DDCC77",
    "partition": "#AA4499",
    "learn": "#332288",
    "unlearn": "#661100",
    "repeat": "#DDDDDD",
}
PHASE_HATCHES: Mapping[str, str] = {
    "train": "",
    "affinity": "////",
    "aggregate": "....",
    "communicate": "xxxx",
    "evaluate": "\\\\\\\\",
    "idle": "",
    "warm-up": "++++",
    "cool-down": "----",
    "distil": "\\\\",
    "likeness": "oo",
    "group": "||||",
    "search": "**",
    "stitch": "///",
    "tune": "xx",
    "match": "++",
    "partition": "oo",
    "learn": "",
    "unlearn": "\\\\",
    "repeat": "--",
}

Line = str | tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class MethodStyle:
    """Hold the colour, marker, hatch and line of one method, alike in every figure."""

    colour: str | tuple[float, float, float]
    marker: str
    hatch: str
    line: Line


def method_style(method: str) -> MethodStyle:
    """Return the look of a method from its name alone.

    The part before the colon gives colour and hatch, so that variants look related; the parameters
    give shade, marker and line. Names not in the tables are hashed by CRC-32, because Python's own
    hash changes from process to process.
    """
    name, _, parameters = method.partition(":")
    code = zlib.crc32(name.encode())
    hashed = OTHER_COLOURS[code % len(OTHER_COLOURS)], OTHER_MARKERS[(code >> 8) % 2]
    look = MORE_LOOKS.get(name, hashed)
    colour, marker = METHOD_COLOURS.get(name) or look[0], METHOD_MARKERS.get(name) or look[1]
    names = list(METHOD_COLOURS)
    rank = names.index(name) if name in names else code >> 16
    hatch, line = HATCHES[rank % len(HATCHES)], LINES[rank % len(LINES)]
    if name in LATER_LOOKS:
        colour, marker, hatch = LATER_LOOKS[name]
    if not parameters:
        return MethodStyle(colour, marker, hatch, line)
    variant = _variant(parameters)
    markers = [sign for sign in (*METHOD_MARKERS.values(), *OTHER_MARKERS) if sign != marker]
    return MethodStyle(
        _shade(colour, SHADES[(variant - 1) % len(SHADES)]),
        markers[(rank * 3 + variant) % len(markers)],
        HATCHES[(rank + variant) % len(HATCHES)],
        LINES[(rank + variant) % len(LINES)],
    )


def _variant(parameters: str) -> int:
    """Return the number in "splits=3" minus one, or a hash of any other parameters."""
    key, _, value = parameters.partition("=")
    if key == "splits" and value.isdigit() and int(value) >= 2:
        return int(value) - 1
    return 1 + zlib.crc32(parameters.encode()) % 97


def _shade(colour: str, amount: float) -> tuple[float, float, float]:
    """Return a colour "#rrggbb" mixed with white (amount > 0) or black (amount < 0)."""
    target = 1.0 if amount > 0 else 0.0
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part + (target - part) * abs(amount) for part in parts)
    return red, green, blue
