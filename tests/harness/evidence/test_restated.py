"""Modelled energy that is time times one power is told once, in words, and not compared again."""

import pytest

from harness.cli.compare import main
from harness.evidence.restated import modelled_power_w, restated_words


def rows(*pairs, **more):
    return [
        {"status": "done", "time_s": t, "energy_model_j": j, "energy_j": None} | more
        for t, j in pairs
    ]


def test_one_power_is_found_within_two_hundredths():
    assert modelled_power_w(rows((10.0, 646.0), (20.0, 1296.0))) == pytest.approx(64.7)
    assert modelled_power_w(rows((10.0, 646.0), (20.0, 1330.0))) is None


@pytest.mark.parametrize(
    "found",
    [
        [], rows((10.0, None)), rows((0.0, 0.0)), rows((10.0, 646.0), energy_j=3.0),
        rows((10.0, 646.0), status="failed"), rows((10.0, -646.0)),
    ],
)  # fmt: skip
def test_nothing_is_restated_where_there_is_another_figure_or_none(found):
    assert modelled_power_w(found) is None


def test_time_is_that_of_the_device():
    elsewhere = rows((10.0, 30.0), (11.0, 60.0), host_matches_device="false")
    for row, time_s in zip(elsewhere, (100.0, 200.0), strict=True):
        row["time_model_s"] = time_s
    assert modelled_power_w(elsewhere) == pytest.approx(0.3)
    assert modelled_power_w(row | {"host_matches_device": True} for row in elsewhere) is None


def test_compare_says_it_in_a_sentence_and_still_compares_when_asked(draft, capsys):
    begun = draft(meter=None)
    begun.fill()
    for row in (*begun.rows, *begun.phases):
        row["energy_j"] = row["energy_error_j"] = None
    folder = begun.write()
    a, b = f"{folder}:independent", f"{folder}:mas:splits=2"
    assert main([a, b]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert restated_words(20.0) in said
    assert "uses" not in said
    assert main([a, b, "--metric", "energy_model_j"]) == 0
    assert "uses 0.50×" in capsys.readouterr().out
