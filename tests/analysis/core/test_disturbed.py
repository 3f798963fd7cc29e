"""What rests on disturbed cells says so: verdict, captions of times and joules, and the page."""

from analysis.core.assembly import all_drawings, all_tables
from analysis.core.disturbed import marked
from analysis.core.figures.drawing import Drawing
from analysis.core.loading import load_run
from analysis.core.verdict import sentences
from analysis.report import write_report

LOADED = {"flags": "foreign-load+resumed"}
WORDS = "1 of 9 cells was disturbed (foreign-load)"
CELL = "all-in-one-s1-r0"


def test_a_disturbed_run_says_so_everywhere(make_run):
    folder = make_run(cell_changes={CELL: LOADED})
    paths = write_report([folder])
    page = paths.page.read_text()
    assert f"{WORDS}: its times and joules" in page
    assert any(WORDS in words for words in sentences(load_run(folder)))
    captions = next(path for path in paths.tables if path.name == "captions.tex").read_text()
    told = {line.split("}")[0] for line in captions.splitlines() if WORDS in line}
    assert {r"\newcommand{\CaptionMain", r"\newcommand{\CaptionCost"} <= told
    assert r"\newcommand{\CaptionTasks" not in told  # losses are those of a quiet device


def test_figures_of_losses_alone_do_not_rest_on_it(make_run):
    run = load_run(make_run(cell_changes={CELL: LOADED}))
    drawings = {d.stem: d.caption for d in all_drawings([run]) if isinstance(d, Drawing)}
    assert WORDS in drawings["breakdown"]
    assert WORDS in drawings["pareto"]
    assert "DISTURBED" not in drawings["task_changes"]
    assert "DISTURBED" not in drawings["loss_over_rounds"]


def test_a_figure_of_some_cells_rests_on_those(make_run):
    run = load_run(make_run(cell_changes={CELL: LOADED}))
    drawing = next(d for d in all_drawings([run]) if isinstance(d, Drawing))
    for cell, told in ((CELL, True), ("all-in-one-s0-r0", False)):
        own = drawing.drawn.head(1).assign(cell=cell, time_s=1.0)
        plain = Drawing("x", "x", "Caption.", "", 1.0, own, drawing.paint)
        assert ("DISTURBED" in marked(plain, [run]).caption) == told


def test_a_quiet_run_says_nothing(make_run):
    run = load_run(make_run(cell_changes={CELL: {"flags": "resumed"}}))
    texts = [t.caption for t in all_tables([run])] + sentences(run)
    assert not any("disturbed" in text.lower() for text in texts)
