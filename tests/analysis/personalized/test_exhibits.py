"""Tables, figures and remarks of personalised models say what their numbers say."""

import pandas as pd
import pytest

from analysis.personalized.exhibits import EXHIBITS
from analysis.personalized.figures import bill, block_map, growth, joules
from analysis.personalized.frames import limit_of


def test_growth_is_the_ratio_minus_one_and_limits_are_those_typed() -> None:
    frame = pd.DataFrame({
        "method": ["pfedclub:limit=0.1", "pfedclub:limit=0.1", "pfedclub", "local"],
        "seed": 0, "round": 0, "client": [0, 1, 0, 0], "ratio": [1.05, 1.2, 4.8, None],
    })  # fmt: skip
    drawn = growth.prepare(frame)
    assert drawn["growth"].tolist() == pytest.approx([0.05, 0.2, 3.8])
    assert drawn["over"].tolist() == [False, True, False]
    assert drawn["limit"].isna().tolist() == [False, False, True]
    assert limit_of("pfedclub:groups=4,limit=-0.5") == -0.5
    assert limit_of("nonsense") is None


def test_the_map_shows_the_last_round_of_the_first_cell_block_by_block() -> None:
    frame = pd.DataFrame({
        "cell": ["a", "a", "a", "b"], "method": "pfedclub", "seed": [0, 0, 0, 1],
        "round": [0, 1, 1, 1], "client": [0, 0, 1, 0],
        "path": ["c1.1>c0.2", "c4.2>c2.3>c0.3", "", "c9.9"],
    })  # fmt: skip
    drawn = block_map.prepare(frame)
    assert drawn["block"].tolist() == ["c4.2", "c2.3", "c0.3", ""]
    assert drawn["owner"].tolist()[:3] == ["c4", "c2", "c0"]
    assert drawn["place"].tolist()[:3] == [0, 1, 2]
    assert drawn["client"].tolist() == [0, 0, 0, 1]


def test_the_bill_is_the_mean_over_seeds_of_each_party_and_phase() -> None:
    frame = pd.DataFrame({
        "cell": ["a", "a", "b", "b"], "method": "m", "seed": [0, 0, 1, 1],
        "party": ["server", "clients"] * 2, "phase": ["tune", "train"] * 2,
        "energy_j": [1.0, 10.0, 3.0, 30.0],
    })  # fmt: skip
    drawn = bill.prepare(frame, "energy_j").set_index("phase")["energy_j"]
    assert drawn.to_dict() == {"tune": 2.0, "train": 20.0}


def test_marks_are_means_over_the_clients_of_a_family() -> None:
    frame = pd.DataFrame({
        "method": "m", "seed": 0, "client": [0, 1, 2], "family": ["tiny", "tiny", "wide"],
        "accuracy": [0.5, 0.7, None], "parameters": [10, 10, 99], "energy_j": [1.0, 3.0, 5.0],
    })  # fmt: skip
    drawn = joules.prepare(frame, "energy_j")
    assert len(drawn) == 1
    assert drawn.loc[0, ["energy_j", "accuracy", "n"]].tolist() == [2.0, pytest.approx(0.6), 2]


class FakeRun:
    """Two seeds of three methods: the teacher gains 2 points on local, none on the control."""

    methods = ("local", "smooth", "pfedclub")
    done = pd.DataFrame({
        "cell": list("abcdef"), "method": ["local", "smooth", "pfedclub"] * 2,
        "seed": [0, 0, 0, 1, 1, 1], "objective_value": [0.8, 0.82, 0.83, 0.7, 0.73, 0.72],
    })  # fmt: skip


def test_a_remark_compares_with_the_control_not_with_local() -> None:
    """Differences +1 and −1 points: mean 0, half-width of t with one degree of freedom."""
    (said,) = EXHIBITS.remarks(FakeRun())
    assert "+0.0 points of accuracy from smooth" in said.replace("−0.0", "+0.0")
    assert "knows nothing" in said
    assert "not shown that what its teachers know matters" in said
    assert "12.7" in said


def test_a_remark_without_the_control_says_nothing_of_accuracy() -> None:
    class Without(FakeRun):
        methods = ("local", "pfedclub")
        done = FakeRun.done[FakeRun.done["method"] != "smooth"]

    (said,) = EXHIBITS.remarks(Without())
    assert "nothing can be said" in said
    assert "%" not in said


def test_repeats_of_a_seed_weigh_no_more_than_one() -> None:
    """Seeds of 2 J (of 1 and 3) and of 8 J have the mean 5; a teacher made twice is one."""
    frame = pd.DataFrame({
        "cell": ["a", "b", "c"], "method": "pfedclub", "seed": [0, 0, 1], "party": "clients",
        "phase": "train", "energy_j": [1.0, 3.0, 8.0], "family": "tiny", "client": 0,
        "accuracy": [0.2, 0.4, 0.5], "parameters": 10, "round": 0, "ratio": [1.5, 1.5, 2.0],
    })  # fmt: skip
    assert bill.prepare(frame, "energy_j")["energy_j"].tolist() == [5.0]
    drawn = joules.prepare(frame, "energy_j")
    assert drawn.loc[0, ["energy_j", "accuracy", "n"]].tolist() == [5.0, pytest.approx(0.4), 2]
    assert growth.prepare(frame)["ratio"].tolist() == [1.5, 2.0]


def test_seeds_of_one_difference_prove_nothing() -> None:
    """Two seeds that both gain 1 point of coarse accuracy have no interval that leaves out 0."""

    class Alike(FakeRun):
        done = FakeRun.done.assign(objective_value=[0.8, 0.82, 0.83, 0.7, 0.72, 0.73])

    (said,) = EXHIBITS.remarks(Alike())
    assert "+1.0 points" in said
    assert "too coarse to show a spread" in said
    assert "helps" not in said
