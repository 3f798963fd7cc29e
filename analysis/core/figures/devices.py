"""The same methods over several devices, each relative to the reference on that device."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.pooling import series_names
from analysis.core.style import even_columns, keep_limits
from analysis.core.verdict import run_comparisons
from analysis.core.words import is_wide, origin_words, wide_words
from harness.evidence.paired import INTERVAL_WORDS

TITLE = "Comparison of devices"
SAME = ("tasks", "model", "data", "size", "clients", "images", "rounds", "epochs", "batch_size",
        "clients_per_round", "protocol")  # fmt: skip
"""Settings that must agree before devices are compared."""


def drawings(runs: Sequence[Run]) -> list[Outcome]:
    """Return the figure, or why there is none."""
    if len({(run.manifest.device_name, run.manifest.accelerator) for run in runs}) < 2:
        return [NotDrawn(TITLE, "all runs are of one device")]
    alike = [run for run in runs if _workload(run) == _workload(runs[0])]
    others = [run.run_id for run in runs if run not in alike]
    drawn = prepare(alike)
    reference = runs[0].manifest.yardstick.reference
    if drawn["device"].nunique() < 2:
        return [NotDrawn(TITLE, f"fewer than two devices share workload and {reference} cells")]
    left_out = f" Left out, another workload or data: {', '.join(others)}." if others else ""
    notes = dict.fromkeys(part for run in alike for part in origin_words(run).split("; ") if part)
    lines = sum(own["device"].nunique() for _, own in drawn.groupby("quantity"))
    methods = drawn["method"].nunique()

    return [
        Drawing(
            stem="devices",
            title=TITLE,
            caption=f"Each method relative to {reference} training of the same seed on the same "
            f"device; left of 1 is less. Whiskers: {INTERVAL_WORDS}, n = "
            f"{_span(drawn['n'])}. Measured and modelled numbers and different meters have panels "
            f"of their own.{left_out}{wide_words(drawn['n'])}",
            note="; ".join(notes),
            aspect=0.2 + drawn["quantity"].nunique() * 0.2 + lines * (0.04 + 0.017 * methods),
            drawn=drawn,
            paint=partial(paint_panels, drawn=drawn, reference=reference),
        )
    ]


def prepare(runs: Sequence[Run]) -> pd.DataFrame:
    """Return every comparison of every run but of the objective, which is no matter of the device.

    Returns:
        Columns quantity, device, method, ratio, low, high (empty for one seed), n.
    """
    names = series_names(runs)
    rows = []
    for run in runs:
        for found in run_comparisons(run):
            if found.quantity == run.manifest.yardstick.quantity:
                continue
            low, high = (found.interval.low, found.interval.high) if found.interval else (None,) * 2
            quantity = _quantity(run, found.quantity)
            rows.append(
                (quantity, names[run.run_id], found.method, found.ratio, low, high, found.pairs)
            )
    columns = ["quantity", "device", "method", "ratio", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        "quantity", key=lambda column: column.map(_rank), kind="stable", ignore_index=True
    )


def paint_panels(figure: Figure, width_in: float, drawn: pd.DataFrame, reference: str) -> None:
    """Put one panel per quantity above the other, with one legend of methods."""
    quantities = list(dict.fromkeys(drawn["quantity"]))
    heights = [drawn.loc[drawn["quantity"] == q, "device"].nunique() for q in quantities]
    panels = figure.subplots(
        len(quantities), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    handles: dict[str, Artist] = {}
    for ax, quantity in zip(panels, quantities, strict=True):
        draw(ax, drawn[drawn["quantity"] == quantity], reference)
        handles.update(dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True)))
    letters = max(len(name) for name in handles) + 7
    columns = even_columns(len(handles), int(width_in * 16.5 / letters))
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=columns)


def draw(ax: Axes, drawn: pd.DataFrame, reference: str) -> Axes:
    """Draw one line per device with a mark per method, and a guide at 1."""
    devices = list(dict.fromkeys(drawn["device"]))
    methods = list(dict.fromkeys(drawn["method"]))
    ax.axvline(1, color="#555555", linewidth=0.75)
    wide = []
    for number, method in enumerate(methods):
        own = drawn[drawn["method"] == method]
        shape = method_style(method)
        shift = (number - (len(methods) - 1) / 2) * 0.7 / max(1, len(methods))
        places = [devices.index(device) + shift for device in own["device"]]
        bars = own.assign(place=places, colour=[shape.colour] * len(own))
        bars = bars[bars["low"].notna()]
        narrow = ~bars["n"].map(is_wide).astype(bool)
        _draw_bars(ax, bars[narrow])
        wide.append(bars[~narrow])
        ax.plot(
            own["ratio"], places, linestyle="none", marker=shape.marker, color=shape.colour,
            markeredgecolor="black", markeredgewidth=0.4, label=method,
        )  # fmt: skip
    ax.set_yticks(range(len(devices)), devices)
    ax.set_ylim(len(devices) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(0, max(1.05, ax.get_xlim()[1]))
    with keep_limits(ax):
        for bars in wide:
            _draw_bars(ax, bars)
    ax.set_xlabel(f"{drawn['quantity'].iloc[0]}\n{reference} = 1")
    return ax


def _draw_bars(ax: Axes, bars: pd.DataFrame) -> None:
    for _, row in bars.iterrows():
        ratio, low, high = float(row["ratio"]), float(row["low"]), float(row["high"])
        ax.errorbar(
            ratio, row["place"], xerr=[[max(0.0, ratio - low)], [max(0.0, high - ratio)]],
            fmt="none", ecolor=row["colour"], elinewidth=0.9, capsize=1.5, zorder=1.5,
        )  # fmt: skip


def _quantity(run: Run, quantity: str) -> str:
    """Return the quantity with the scope and kind of the meter, so that meters stay apart."""
    if quantity != "measured energy":
        return quantity.capitalize()
    row = run.done[run.done["energy_j"].notna()].iloc[0]
    words = ", ".join(str(row[key]) for key in ("energy_scope", "energy_kind") if row[key])
    return f"Measured energy ({words})" if words else "Measured energy"


def _rank(quantity: str) -> int:
    order = ("Time", "Modelled time", "Measured energy", "Modelled energy")
    return next(n for n, name in enumerate(order) if quantity.startswith(name))


def _workload(run: Run) -> tuple[str, ...]:
    config = run.manifest.section("config")
    return (run.manifest.data_checksum, *(str(config.get(key, "")) for key in SAME))


def _span(counts: pd.Series[int]) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low}" if low == high else f"{low} to {high}"
