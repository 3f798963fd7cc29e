"""The verdict says what the numbers allow, and no more."""

from __future__ import annotations

import math

import pytest

from analysis.core.loading import load_run
from analysis.core.verdict import cell_sentences, comparisons, sentences
from harness.evidence.yardstick import Yardstick

LOSS = Yardstick("total_loss", "lower", "independent")


def said(data, quick=False):
    """The sentences on rows of a run of several tasks."""
    return cell_sentences(data, LOSS, quick)


def rows(seeds=1, mas_time=0.49, mas_loss=0.985, **changes):
    """Return rows of independent and MAS with exact ratios; changes go to every row."""
    found = []
    for seed in range(seeds):
        for method, time, loss in (("independent", 1.0, 1.0), ("mas:splits=2", mas_time, mas_loss)):
            found.append(
                {"method": method, "seed": seed, "status": "done", "device": "jetson-nano",
                 "host_matches_device": True, "time_s": (100 + seed) * time,
                 "total_loss": (0.6 + 0.01 * seed) * loss, "energy_j": None,
                 "energy_model_j": None, **changes}
            )  # fmt: skip
    return found


def test_one_seed_in_plain_words():
    """Ratio and loss are said; for one seed there is no range but a hedge."""
    words = said(rows())
    assert words[0] == (
        "mas:splits=2 took 0.49× the time of independent at 1.5 % lower total loss."
    )
    assert words[1] == "One seed: no interval can be given, and a difference may be chance."
    assert "No energy was measured or modelled." in words


def test_text_rows_are_understood():
    """Rows may come straight from a CSV reader: text, with "" for missing."""
    plain = [
        {key: "" if value is None else str(value) for key, value in row.items()} for row in rows()
    ]
    assert said(plain) == said(rows())


def test_three_seeds_claim_no_significance():
    """Three pairs give a range, a t interval on the logarithms, and no claim.

    Logs of −1, 0 and 1 % have the half-width 4.3027 · 0.01 / √3 = 0.0248: 0.478 to 0.502, and for
    the loss 0.9608 to 1.0098.
    """
    data = rows(seeds=3)
    for row in data:
        if row["method"] != "independent":
            row["time_s"] *= math.exp(0.01 * (row["seed"] - 1))
            row["total_loss"] *= math.exp(0.01 * (row["seed"] - 1))
    words = said(data)
    assert "(0.48–0.50)" in words[0]
    assert "(−3.9 to +1.0 %)" in words[0]
    assert any("fewer than 6 paired seeds" in sentence for sentence in words)
    assert not any("p =" in sentence for sentence in words)


def test_six_seeds_are_tested():
    """Six pairs that all point one way reach p = 2 / 64, and it is printed."""
    words = said(rows(seeds=6))
    assert "p = 0.031" in words[0]
    assert "not shown to differ" not in words[0]


def test_a_difference_of_both_signs_is_not_shown_to_differ():
    """Ratios that scatter around 1 get the words, not a claim."""
    data = rows(seeds=6, mas_time=1.0)
    for row in data:
        if row["method"] != "independent":
            row["time_s"] *= 1.1 if row["seed"] % 2 else 1 / 1.1
    assert "not shown to differ" in said(data)[0]


def test_p_values_are_corrected_for_the_number_of_methods():
    """With two methods the smaller p doubles: 2 × 2 / 64."""
    data = rows(seeds=6)
    data += [{**row, "method": "all-in-one"} for row in data if row["method"] != "independent"]
    found = comparisons(data, ["mas:splits=2", "all-in-one"], LOSS)
    assert [c.p_value for c in found if c.quantity == "time"] == pytest.approx([0.0625, 0.0625])


def test_measured_energy_names_its_meter():
    """Measured energy is called measured, with meter, scope and kind."""
    meter = {"energy_j": 5.0, "energy_meter": "rapl", "energy_scope": "package"}
    words = said(rows(**meter, energy_kind="counter"))
    assert "1.00× its measured energy" in words[0]
    assert "Energy was measured by rapl (package, counter)." in words


def test_modelled_energy_is_called_modelled():
    """Modelled energy never appears without the word, and only if nothing was measured."""
    words = said(rows(energy_model_j=3.0))
    assert "1.00× its modelled energy" in words[0]
    assert "Energy is modelled from the device profile, not measured." in words


def test_two_meters_are_not_compared():
    """Joules of two meters make no ratio."""
    data = rows(energy_j=5.0, energy_meter="rapl")
    data[1]["energy_meter"] = "plug"
    words = said(data)
    assert "energy" not in words[0]
    assert any("different meters (plug, rapl)" in sentence for sentence in words)


@pytest.mark.parametrize("flag", [False, "false", "False"])
def test_a_foreign_host_is_said(flag):
    """Time of another host is not the device's."""
    words = said(rows(host_matches_device=flag))
    assert any("host that is not jetson-nano" in sentence for sentence in words)


def test_quick_and_unfinished_are_said():
    """A quick run and cells that failed limit what may be quoted."""
    data = [*rows(), {"method": "tag", "seed": 0, "status": "failed"}]
    words = said(data, quick=True)
    assert "1 of 3 cells are not finished and are left out." in words
    assert "This was a quick run: it is not for publication." in words


def test_nothing_to_compare():
    """No baseline, no cell, or only the baseline: said, not invented."""
    only_mas = [row for row in rows() if row["method"] != "independent"]
    assert said(only_mas)[0].startswith("There is no finished independent cell")
    assert said([])[0].startswith("No cell is finished")
    only_base = [row for row in rows() if row["method"] == "independent"]
    assert said(only_base)[0].startswith("Only independent was run")


def test_no_common_seed():
    """Methods of different seeds are not pairs."""
    data = rows()
    data[1]["seed"] = 7
    assert said(data)[0] == (
        "mas:splits=2 shares no seed with independent, so it cannot be compared."
    )


def test_a_run_from_disk_says_the_same(make_run):
    """Frames with missing values give the sentences of the plain rows."""
    words = sentences(load_run(make_run(seeds=1, measured=False, matches=False, quick=True)))
    assert words[1].startswith("mas:splits=2 took 0.50× the modelled time of independent")
    assert "modelled energy" not in words[1]
    assert any(w.startswith("Modelled energy is time × 0.444 W") for w in words)
    assert any("quick run" in sentence for sentence in words)


def four_methods(seeds):
    """Return rows of independent and four methods that are all faster in every seed."""
    data = rows(seeds=seeds)
    mas = [row for row in data if row["method"] != "independent"]
    for name in ("all-in-one", "tag", "hoa"):
        data += [{**row, "method": name} for row in mas]
    return data


def test_too_few_seeds_for_so_many_methods_are_named():
    """Four methods: 4 × 2 / 2**6 = 0.125 is the least p of six seeds; 4 × 2 / 2**8 is below 5 %."""
    words = said(four_methods(6))
    assert "p = 0.12, the least possible" in words[0]
    assert "not shown to differ" not in words[0]
    assert (
        "With 6 paired seeds and 4 methods compared no p can be below 0.12, however large the "
        "difference; 8 seeds would do."
    ) in words
    enough = said(four_methods(8))
    assert "p = 0.031" in enough[0]
    assert not any("would do" in sentence for sentence in enough)


def test_another_objective_has_its_own_name_and_direction():
    """Two workloads differ in what they are judged by and compared with, not in the sentences."""
    accuracy = Yardstick("test_accuracy", "higher", "local")
    data = [
        {"method": method, "seed": 0, "status": "done", "host_matches_device": True,
         "time_s": time, "objective_value": value}
        for method, time, value in (("local", 100.0, 0.5), ("fedavg", 200.0, 0.6))
    ]  # fmt: skip
    assert cell_sentences(data, accuracy)[0] == (
        "fedavg took 2.00× the time of local at 20.0 % higher test accuracy."
    )
    assert cell_sentences(data[1:], accuracy)[0].startswith("There is no finished local cell")


def test_a_run_without_a_reference_is_not_told_to_have_lost_it():
    """Measured commands are compared with nothing."""
    data = [{"method": "sleep 1", "seed": 0, "status": "done", "time_s": 1.0}]
    words = " ".join(cell_sentences(data, Yardstick()))
    assert "finished  cell" not in words
    assert "compared" not in words


def test_a_few_pairs_of_one_ratio_are_no_proof():
    """Three seeds of exactly one ratio give no range, and the reader learns why; six give one."""
    words = said(rows(seeds=3))
    assert words[0] == (
        "mas:splits=2 took 0.49× the time of independent at 1.5 % lower total loss."
    )
    assert any("too coarse to show a spread" in sentence for sentence in words)
    assert "(0.49–0.49, p = " in said(rows(seeds=6))[0]
    assert not any("too coarse" in sentence for sentence in said(rows(seeds=6)))
