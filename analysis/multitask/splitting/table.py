"""Write the map as a table: long as CSV, one row a point as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from analysis.multitask.splitting.summary import REFERENCE, Standing
from harness.evidence.paired import PairedRatio

NOT_RUN = "not run"
COLUMNS = (
    "point", "axis", "value", "method", "seeds", "total_loss", "loss_ratio", "loss_ratio_low",
    "loss_ratio_high", "unseen_ratio", "unseen_ratio_low", "unseen_ratio_high", "cpu_s",
    "cpu_ratio", "cpu_ratio_low", "cpu_ratio_high", "split_sure", "groups", "status",
)  # fmt: skip

HEAD = (
    "point", "seeds", "independent: loss", "all-in-one", "MAS, 2 groups", "MAS, 3 groups",
    "best to worst, 2 groups", "best to worst, 3 groups", "MAS, 2 groups, on unseen buildings",
    "processor time of MAS, 2 and 3", "split sure, 2 and 3",
)  # fmt: skip


def csv_text(found: Sequence[Standing]) -> str:
    """Return a row for every method at every point; what was not run is empty and says so."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in found:
        writer.writerow([
            one.point.name, one.point.axis, one.point.value, one.method,
            " ".join(map(str, one.seeds)), _full(one.mean_loss), *_ratio_fields(one.loss),
            *_ratio_fields(one.unseen),
            _full(one.mean_cpu_s), *_ratio_fields(one.cpu), _full(one.split_sure),
            " ".join(one.groups), "done" if one.seeds else NOT_RUN,
        ])  # fmt: skip
    return stream.getvalue()


def _full(value: float | None) -> str:
    return "" if value is None else repr(value)


def _ratio_fields(ratio: PairedRatio | None) -> list[str]:
    if ratio is None:
        return ["", "", ""]
    bounds = ratio.interval
    ends = ["", ""] if bounds is None else [repr(bounds.low), repr(bounds.high)]
    return [repr(ratio.ratio), *ends]


def markdown(found: Sequence[Standing]) -> str:
    """Return a row for every point: changes of loss against independent training, in percent."""
    names = dict.fromkeys(one.point.name for one in found)
    points = [{one.method: one for one in found if one.point.name == name} for name in names]
    return grid(HEAD, [_cells(own) for own in points])


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def _cells(own: Mapping[str, Standing]) -> list[str]:
    reference = own[REFERENCE]
    point = reference.point
    head = f"{point.axis}: {point.value}"
    if not reference.seeds:
        return [head, "", *[NOT_RUN] * (len(HEAD) - 2)]
    two, three = own["mas:splits=2"], own["mas:splits=3"]
    return [
        head,
        str(len(reference.seeds)),
        f"{reference.mean_loss:.3f}",
        *(_told(one, reference) for one in (own["all-in-one"], two, three)),
        _band(own, 2),
        _band(own, 3),
        change(two.unseen),
        f"{_times(two.cpu)}, {_times(three.cpu)}",
        f"{_share(two.split_sure)}, {_share(three.split_sure)}",
    ]


def _told(one: Standing, reference: Standing) -> str:
    """Return a change of loss, and of how many seeds it is if those are fewer than the row says."""
    pairs = len(set(one.seeds) & set(reference.seeds))
    fewer = one.loss is not None and pairs < len(reference.seeds)
    return f"{change(one.loss)}, {_count(pairs)}" if fewer else change(one.loss)


def change(ratio: PairedRatio | None) -> str:
    """Return a ratio as a change in percent with its interval: `+2.1 % (+1.0 to +3.2)`."""
    if ratio is None:
        return NOT_RUN
    text = f"{100 * (ratio.ratio - 1):+.1f} %"
    if ratio.interval is None:
        return text
    low, high = (100 * (bound - 1) for bound in (ratio.interval.low, ratio.interval.high))
    return f"{text} ({low:+.1f} to {high:+.1f})"


def times(ratio: PairedRatio, digits: int) -> str:
    """Return a ratio with its interval: `0.47 (0.40–0.52)`."""
    text = f"{ratio.ratio:.{digits}f}"
    if ratio.interval is None:
        return text
    return f"{text} ({ratio.interval.low:.{digits}f}–{ratio.interval.high:.{digits}f})"


def _band(own: Mapping[str, Standing], splits: int) -> str:
    best, worst = (own.get(f"{kind}-split:splits={splits}") for kind in ("best", "worst"))
    if best is not None and worst is not None and best.loss and worst.loss:
        ends = " to ".join(f"{100 * (one.ratio - 1):+.1f} %" for one in (best.loss, worst.loss))
        return ends if best.seeds == own[REFERENCE].seeds else f"{ends} ({_count(len(best.seeds))})"
    drawn = own.get(f"random-split:splits={splits}")
    if drawn is not None and drawn.loss:
        return f"one at random {100 * (drawn.loss.ratio - 1):+.1f} %"
    return NOT_RUN


def _count(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


def _times(ratio: PairedRatio | None) -> str:
    return NOT_RUN if ratio is None else f"{ratio.ratio:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"
