"""Name the semantic classes of the label `s`."""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """Number the class of a surface; VOID is what a loss ignores and never occurs in scenes."""

    VOID = 0
    WALL = 1
    FLOOR = 2
    CEILING = 3
    DOOR = 4
    WINDOW = 5
    TABLE = 6
    CHAIR = 7
    SOFA = 8
    BED = 9
    CABINET = 10
    SHELF = 11
    LAMP = 12
    PLANT = 13
    PICTURE = 14
    TEXTILE = 15
    SANITARY = 16
    CLUTTER = 17


CLASS_NAMES = tuple(kind.name.lower() for kind in Kind)
