"""The paper of a report compiles in one column and in two, and nothing stands out of its box."""

import re
import shutil
import subprocess

import pytest

from analysis.report import write_report

pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: TeX Live"),
]
MOST_PT = 1.0
OVERFULL = re.compile(r"Overfull \\[hv]box \(([0-9.]+)pt")


@pytest.mark.parametrize("seeds", [1, 3])
def test_every_table_and_caption_fits(make_run, seeds):
    """Also on a host with a name of Greek and Chinese letters."""
    folder = make_run(seeds=seeds, host={"description": "ΑΘΗΝΑ-节点 für Ελλάδα, 2 cores"})
    report = write_report([folder]).folder
    for columns in ("onecolumn", "twocolumn"):
        job = rf"\def\papercolumns{{{columns}}}\input{{paper}}"
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", job], cwd=report,
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-1500:]
        wide = [float(found) for found in OVERFULL.findall(done.stdout)]
        assert [points for points in wide if points > MOST_PT] == []
    paper = (report / "paper.tex").read_text()
    for table in (report / "tables").glob("*.md"):
        assert rf"\input{{tables/{table.stem}}}" in paper
    captions = re.findall(r"\\newcommand{(\\\w+)}", (report / "tables/captions.tex").read_text())
    assert all(f"{caption}}}" in paper or f"{caption}\\par" in paper for caption in captions)


def test_a_table_alone_fits_a_narrow_column(make_run, tmp_path):
    """As an author has it: booktabs and graphicx, a column of 6 cm."""
    report = write_report([make_run(seeds=2)], tmp_path / "report").folder
    names = sorted(path.stem for path in (report / "tables").glob("*.md"))
    body = "".join(rf"\input{{tables/{name}}}\par " for name in names)
    text = (
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
        rf"\begin{{minipage}}{{6cm}}\setlength{{\parindent}}{{0pt}}{body}\end{{minipage}}"
        r"\end{document}"
    )
    (report / "narrow.tex").write_text(text)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "narrow"], cwd=report,
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1500:]
    found = re.findall(r"Overfull \\hbox \(([0-9.]+)pt", done.stdout)
    assert [points for points in found if float(points) > MOST_PT] == []
