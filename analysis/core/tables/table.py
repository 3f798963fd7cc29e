"""The one table object; what is printed, how it is rounded and what is best follow from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.core.numbers import RatioEstimate, SeedMean
from harness.evidence.paired import FEWEST_ALIKE

NOISE = 1e-9
HUGE = 1e9
"""From here on digits say less than the power of ten: a loss that has diverged."""
NOT_RECORDED = "No value was recorded."


@dataclass(frozen=True)
class Absent:
    """Stand for a value that is not there; the reason becomes a footnote."""

    reason: str = NOT_RECORDED


Content = str | SeedMean | Absent | None
"""None is an absent value without a reason of its own."""


@dataclass(frozen=True)
class Heading:
    """Describe one column of a table.

    Attributes:
        key: name of the column in the CSV file, with its unit.
        title: name for people, without unit.
        unit: unit for people; empty for text and pure numbers.
        better: which direction is better, if any.
    """

    key: str
    title: str
    unit: str = ""
    better: Literal["low", "high", ""] = ""

    @property
    def label(self) -> str:
        """Return the title with the arrow of the better direction."""
        arrow = {"low": " ↓", "high": " ↑", "": ""}[self.better]
        return f"{self.title}{arrow}"


@dataclass(frozen=True)
class Table:
    """Hold rows of text and values; every output format is made from it.

    Attributes:
        name: stem of its files.
        caption: one paragraph, with n and the kind of interval.
        headings: one per column.
        rows: one entry per column.
        provenance: lines that say where the numbers come from.
        reference_rows: how many of the last rows are references set off from the methods.
        key_columns: how many of the first columns name the row.
        ranked_within: key of the column within whose groups values are ranked; "" for all rows.
        timed: whether it shows seconds, joules or watts, which a disturbed device changes.
    """

    name: str
    caption: str
    headings: Sequence[Heading]
    rows: Sequence[Sequence[Content]]
    provenance: Sequence[str] = ()
    reference_rows: int = 0
    key_columns: int = 1
    ranked_within: str = ""
    timed: bool = True

    def decimals(self, index: int) -> int:
        """Return the decimals of a column."""
        return column_decimals([row[index] for row in self.rows])

    def is_numeric(self, index: int) -> bool:
        """Tell whether a column holds values."""
        return any(isinstance(row[index], SeedMean) for row in self.rows)

    def has_bounds(self, index: int) -> bool:
        """Tell whether a column holds ratios with bounds."""
        return any(isinstance(row[index], RatioEstimate) for row in self.rows)

    def begins_group(self, number: int) -> bool:
        """Tell whether a row is the first of its ranked group or of the references."""
        if self.reference_rows and number == len(self.rows) - self.reference_rows:
            return True
        if not self.ranked_within or number > len(self.rows) - self.reference_rows:
            return False
        index = [heading.key for heading in self.headings].index(self.ranked_within)
        return number == 0 or self.rows[number][index] != self.rows[number - 1][index]

    def footnotes(self) -> list[str]:
        """Return the reasons for absent values in the order of their first appearance."""
        absent = [absence(content) for row in self.rows for content in row]
        return list(dict.fromkeys(entry.reason for entry in absent if entry is not None))


@dataclass(frozen=True)
class Shown:
    """Hold one content as it is printed.

    Attributes:
        text: the mean or the text; an en dash if absent.
        spread: the half-width, or the bounds of a ratio; empty without one.
        mark: letter of the footnote, empty without one.
        rank: 1 for the best of the column, 2 for the second, 0 otherwise; ties have no rank.
        bounds: the bounds of a ratio one by one, None of other values.
    """

    text: str
    spread: str = ""
    mark: str = ""
    rank: int = 0
    bounds: tuple[str, str] | None = None

    @property
    def plain(self) -> str:
        """Return mean and half-width, or ratio and bounds, as one text."""
        if self.bounds:
            return f"{self.text} ({self.spread})"
        return f"{self.text} ± {self.spread}" if self.spread else self.text


def absence(content: Content) -> Absent | None:
    """Return what stands for an absent value, or None if the value is there."""
    if isinstance(content, Absent):
        return content
    return None if isinstance(content, SeedMean) or content else Absent()


def display_rows(table: Table) -> list[list[Shown]]:
    """Return every content rounded, ranked and with the letter of its footnote."""
    columns = range(len(table.headings))
    decimals = [table.decimals(index) for index in columns]
    ranks = [column_ranks(table, index) for index in columns]
    letters = {reason: footnote_letter(n) for n, reason in enumerate(table.footnotes())}
    return [
        [_field(row[i], decimals[i], ranks[i].get(number, 0), letters) for i in columns]
        for number, row in enumerate(table.rows)
    ]


def footnote_letter(number: int) -> str:
    """Return a, b, …, z, aa, bb, … for 0, 1, … and so on."""
    return "abcdefghijklmnopqrstuvwxyz"[number % 26] * (number // 26 + 1)


def column_decimals(contents: Sequence[Content]) -> int:
    """Return how many decimals a column is written with, alike for mean and half-width.

    Two digits of the smallest half-width are kept, but not more than five digits of the smallest
    mean, so that one lucky pair of seeds does not blow up the column; a half-width of mere
    rounding noise does not count. Without half-widths, four digits of the largest mean or three
    of the smallest are kept. A column of whole numbers has no decimals.
    """
    values = [content for content in contents if isinstance(content, SeedMean)]
    if all(value.mean.is_integer() and not value.half_width for value in values):
        return 0
    sizes = [abs(value.mean) for value in values if value.mean] or [1.0]
    halves = [(value.half_width or 0.0, value) for value in values]
    widths = [half for half, value in halves if half > NOISE * abs(value.mean)]
    if widths:
        return max(0, min(_decimals(min(widths), 2), _decimals(min(sizes), 5)))
    return max(0, _decimals(max(sizes), 4), _decimals(min(sizes), 3))


def column_ranks(table: Table, index: int) -> dict[int, int]:
    """Return row → 1 for the best and row → 2 for the second best of a column.

    A rank is given only if the column has a better direction, every value has an interval of some
    width, and that of the ranked value reaches into no other of its group. Few seeds of one and
    the same value do not show how far others would lie from it.
    """
    groups: dict[Content, dict[int, SeedMean]] = {}
    keys = [heading.key for heading in table.headings]
    within = keys.index(table.ranked_within) if table.ranked_within else None
    for number, row in enumerate(table.rows[: len(table.rows) - table.reference_rows]):
        content = row[index]
        if isinstance(content, SeedMean):
            group = "" if within is None else row[within]
            groups.setdefault(group, {})[number] = content
    found: dict[int, int] = {}
    for values in groups.values():
        found |= _ranks(values, table.headings[index].better)
    return found


def _ranks(values: dict[int, SeedMean], better: str) -> dict[int, int]:
    if not better or len(values) < 2 or not all(map(_has_spread, values.values())):
        return {}
    sign = 1.0 if better == "low" else -1.0
    order = sorted(values, key=lambda number: sign * values[number].mean)
    if not _apart(values, order[0]):
        return {}
    second = len(order) > 2 and _apart(values, order[1])
    return {order[0]: 1, order[1]: 2} if second else {order[0]: 1}


def _has_spread(value: SeedMean) -> bool:
    half = value.half_width
    return half is not None and (half > NOISE * abs(value.mean) or value.n >= FEWEST_ALIKE)


def _apart(values: dict[int, SeedMean], chosen: int) -> bool:
    """Tell whether the interval of a value overlaps with no other one."""
    own = values[chosen]
    return all(
        other == chosen or own.high < value.low or value.high < own.low
        for other, value in values.items()
    )


def _field(content: Content, decimals: int, rank: int, letters: dict[str, str]) -> Shown:
    if isinstance(content, RatioEstimate) and content.half_width is not None:
        low, high = (plain_number(bound, decimals) for bound in (content.low, content.high))
        text = plain_number(content.mean, decimals)
        return Shown(text, f"{low}–{high}", rank=rank, bounds=(low, high))
    if isinstance(content, SeedMean):
        half = content.half_width
        spread = "" if half is None else plain_number(half, decimals)
        return Shown(plain_number(content.mean, decimals), spread, rank=rank)
    missing = absence(content)
    if missing is not None:
        return Shown("–", mark=letters[missing.reason])
    return Shown(str(content))


def plain_number(number: float, decimals: int) -> str:
    """Return a number with a real minus sign and without minus zero; huge ones as 1.23e+45."""
    if abs(number) >= HUGE:
        return f"{number:.2e}".replace("-", "−")
    text = f"{number:.{decimals}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def _decimals(size: float, digits: int) -> int:
    """Return the decimals that show `digits` leading digits of a positive number."""
    return digits - 1 - math.floor(math.log10(size))
