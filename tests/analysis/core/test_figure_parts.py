"""What can be checked of a picture without looking: ticks, legend, names beside points."""

from pathlib import Path

import pytest
from matplotlib import style
from matplotlib.figure import Figure

from analysis.core.assembly import all_drawings
from analysis.core.figures.drawing import Drawing
from analysis.core.figures.point_names import write_names
from analysis.core.loading import load_run
from analysis.core.style import figure_style, new_figure
from analysis.core.venues import venue_width_in

ROOT = Path(__file__).parents[3]
MOST_LEGEND = 0.22
"""Share of a figure's height that a legend may take."""


def painted(drawing: Drawing) -> Figure:
    figure = new_figure("ieee", drawing.aspect, drawing.note)
    drawing.paint(figure, venue_width_in("ieee"))
    figure.draw_without_rendering()
    return figure


def too_few_ticks(figure: Figure) -> list[str]:
    """Return the axes with numbers on which less than two can be read."""
    found = []
    for number, ax in enumerate(figure.axes):
        for name, axis, limits in (("x", ax.xaxis, ax.get_xlim()), ("y", ax.yaxis, ax.get_ylim())):
            low, high = sorted(limits)
            shown = [
                tick.label1.get_text()
                for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
                if tick.label1.get_text() and low <= tick.get_loc() <= high
            ]
            if ax.get_visible() and axis.get_visible() and axis.get_label_text() and len(shown) < 2:
                found.append(f"{name} of axes {number}: {shown}")
    return found


def legend_share(figure: Figure) -> float:
    """Return how much of the figure's height legends take."""
    boxes = [legend.get_window_extent() for legend in figure.legends]
    return sum(box.height for box in boxes) / (figure.get_figheight() * figure.dpi)


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    """Return every figure of the reference run, which has nine seeds and real spread."""
    (folder,) = (ROOT / "results" / "reference" / "main").iterdir()
    with style.context(["default", figure_style()]):
        return {
            drawing.stem: painted(drawing)
            for drawing in all_drawings([load_run(folder)])
            if isinstance(drawing, Drawing)
        }


def test_every_axis_with_a_name_has_two_numbers(figures: dict[str, Figure]) -> None:
    assert {"published", "schedule", "pareto", "task_changes"} <= set(figures)
    assert {stem: few for stem, figure in figures.items() if (few := too_few_ticks(figure))} == {}


def test_no_legend_crowds_the_picture(figures: dict[str, Figure]) -> None:
    shares = {stem: legend_share(figure) for stem, figure in figures.items()}
    assert max(shares.values()) <= MOST_LEGEND, shares
    assert shares["published"] < 0.1


def test_names_of_published_points_cover_neither_one_another_nor_leave_the_axes(
    figures: dict[str, Figure],
) -> None:
    """Boxes as drawn, a twentieth narrower than the letters' own: descenders may touch."""
    (ax,) = figures["published"].axes
    boxes = [text.get_window_extent().shrunk(0.95, 0.6) for text in ax.texts]
    inside = ax.get_window_extent()
    assert len(boxes) > 10
    for place, box in enumerate(boxes):
        assert inside.x0 <= box.x0, ax.texts[place].get_text()
        assert box.x1 <= inside.x1, ax.texts[place].get_text()
        touched = [ax.texts[n].get_text() for n, other in enumerate(boxes) if n > place
                   and box.overlaps(other)]  # fmt: skip
        assert touched == [], ax.texts[place].get_text()


def test_a_name_gives_way_to_a_point_on_its_right() -> None:
    """Of three points in a row the middle one's name stands above or below."""
    ax = Figure(figsize=(3, 3)).add_subplot()
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    write_names(ax, [(0.4, 0.5), (0.5, 0.5), (0.6, 0.5)], ["", "middle", ""], (2.3, 2.3))
    (text,) = ax.texts
    assert text.get_ha() == "center"


def test_the_checks_find_what_they_look_for() -> None:
    """One tick, and a legend of many rows, are found where they are."""
    figure = Figure(figsize=(3, 3))
    ax = figure.add_subplot()
    ax.plot([0, 1], [0, 1], label="a")
    ax.set_yticks([0.5])
    ax.set_ylabel("joules")
    figure.legend(*[[handle] * 12 for handle in ax.get_lines()], ["name"] * 12)
    figure.draw_without_rendering()
    assert too_few_ticks(figure) == ["y of axes 0: ['0.5']"]
    assert legend_share(figure) > MOST_LEGEND
