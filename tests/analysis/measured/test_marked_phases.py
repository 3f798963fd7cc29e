"""Phases of one's own program: overlapping entries count once, and no figure misleads."""

import pandas as pd
import pytest

from analysis.core.figures.drawing import NotDrawn
from analysis.core.loading import Run
from analysis.core.manifest import Manifest
from analysis.core.pooling import pool
from analysis.core.verdict import run_comparisons, sentences
from analysis.measured.frames import marked_phases
from analysis.measured.phases import REST, drawings, phase_table, prepare

MANIFEST = {
    "run_id": "r", "workload": "measure", "command": "python -m harness.measure", "quick": False,
    "device": {"name": "x86", "title": "x86"}, "host": {"matches_device": True},
    "config": {"methods": ["a", "b"]}, "source": {}, "data": {"name": "none"},
}  # fmt: skip

Entry = tuple[str, float, float]
"""Name, start and end of a phase; it draws 10 W."""


def run(
    tmp_path, turns: dict[tuple[str, int], tuple[float, list[Entry]]], run_id: str = "r"
) -> Run:
    """Return a run of commands: (command, turn) → seconds of the whole, and what it marked."""
    cells, phases = [], []
    for (method, turn), (whole_s, entries) in turns.items():
        cell = f"{method}-s0-r{turn}"
        cells.append(
            {"run_id": run_id, "cell": cell, "method": method, "seed": 0, "repeat": turn,
             "status": "done", "time_s": whole_s, "energy_j": 10.0 * whole_s,
             "energy_meter": "rapl", "energy_model_j": None, "energy_reason": "",
             "host_matches_device": True,
             "energy_scope": "package", "energy_kind": "counter", "flags": "", "device": "x86"}
        )  # fmt: skip
        for name, start_s, end_s in [("command", 0.0, whole_s), *entries]:
            joules = 10.0 * (end_s - start_s)
            phases.append(
                {"cell": cell, "phase": name, "start_s": start_s, "end_s": end_s,
                 "time_s": end_s - start_s, "energy_j": joules, "energy_error_j": 0.5,
                 "energy_model_j": joules}
            )  # fmt: skip
    metrics = pd.DataFrame(columns=["cell", "phase", "metric", "value"])
    manifest = Manifest({**MANIFEST, "run_id": run_id})
    frames = (pd.DataFrame(cells), metrics, pd.DataFrame(phases))
    return Run(tmp_path, manifest, *frames, members=(manifest,))


def test_entries_that_overlap_count_once_and_have_no_sum_of_joules(tmp_path) -> None:
    """1 to 3 s and 2 to 5 s are four seconds, not five; of eight that is a half."""
    own = marked_phases(run(tmp_path, {("a", 0): (8.0, [("x", 1.0, 3.0), ("x", 2.0, 5.0)])}))
    (row,) = own.to_dict("records")
    assert (row["entries"], row["time_s"], row["whole_s"]) == (2, 4.0, 8.0)
    assert pd.isna(row["energy_j"])
    assert not row["overlaps"]


def test_entries_one_after_another_add_up(tmp_path) -> None:
    own = marked_phases(run(tmp_path, {("a", 0): (8.0, [("x", 1.0, 3.0), ("x", 3.0, 5.0)])}))
    (row,) = own.to_dict("records")
    assert (row["entries"], row["time_s"], row["energy_j"]) == (2, 4.0, 40.0)
    assert row["energy_error_j"] == 1.0


@pytest.mark.parametrize("name", ["train", "evaluate", "command", "total"])
def test_a_phase_may_have_any_name(tmp_path, name) -> None:
    """Only the first stretch of the name of a whole is the whole."""
    own = marked_phases(run(tmp_path, {("a", 0): (8.0, [(name, 1.0, 3.0)])}))
    assert own[["phase", "time_s"]].to_numpy().tolist() == [[name, 2.0]]


def test_phases_within_one_another_are_told_and_not_stacked(tmp_path) -> None:
    nested = run(tmp_path, {("a", 0): (8.0, [("x", 1.0, 5.0), ("y", 2.0, 3.0)])})
    assert marked_phases(nested)["overlaps"].all()
    (outcome,) = drawings(nested)
    assert isinstance(outcome, NotDrawn)


def test_bars_reach_from_nothing_to_the_whole(tmp_path) -> None:
    """Means over two turns of 8 and 10 s: x takes 2 and 4 s, y 1 s in one of them alone."""
    turns = {
        ("a", 0): (8.0, [("x", 1.0, 3.0), ("y", 3.0, 4.0)]), ("a", 1): (10.0, [("x", 1.0, 5.0)]),
    }  # fmt: skip
    drawn = prepare(marked_phases(run(tmp_path, turns))).set_index("phase")["time_s"]
    assert drawn.to_dict() == pytest.approx({"x": 3.0, "y": 0.5, REST: 5.5})


def test_the_table_has_a_row_per_command_and_phase(tmp_path) -> None:
    turns = {
        ("a", 0): (8.0, [("x", 1.0, 3.0)]), ("b", 0): (4.0, [("x", 1.0, 2.0), ("y", 2.0, 3.0)]),
    }  # fmt: skip
    table = phase_table([run(tmp_path, turns)])
    assert [row[:3] for row in table.rows] == [["a", "x", "1"], ["b", "x", "1"], ["b", "y", "1"]]
    assert [heading.title for heading in table.headings][5] == "Energy, measured"
    assert phase_table([run(tmp_path, {("a", 0): (8.0, [])})]) is None


def turns_of(times: dict[str, list[float]]) -> dict[tuple[str, int], tuple[float, list[Entry]]]:
    return {(method, n): (t, []) for method, own in times.items() for n, t in enumerate(own)}


def test_commands_are_compared_turn_by_turn(tmp_path) -> None:
    """Each turn of b takes about twice what that of a does, however much turns differ."""
    found = run_comparisons(run(tmp_path, turns_of({"a": [1.0, 3.0, 9.0], "b": [2.0, 6.6, 16.2]})))
    time = next(one for one in found if one.quantity == "time")
    assert (time.method, time.pairs) == ("b", 3)
    assert time.ratio == pytest.approx((2.0 * 2.2 * 1.8) ** (1 / 3))
    assert 1.0 < time.interval.low < time.ratio < time.interval.high < 3.0


def test_words_speak_of_turns(tmp_path) -> None:
    told = " ".join(sentences(run(tmp_path, turns_of({"a": [1.0, 3.0], "b": [2.0, 6.1]}))))
    assert "over 2 paired turns" in told
    assert "seed" not in told


def test_turns_of_runs_that_are_pooled_stay_pairs(tmp_path) -> None:
    """One run lacks the second turn of a: its turns must not pair with those of the other run."""
    first = run(tmp_path, turns_of({"a": [1.0], "b": [2.0, 200.0]}), "one")
    second = run(tmp_path, turns_of({"a": [5.0, 7.0], "b": [10.0, 14.0]}), "two")
    (joined,) = pool([first, second])
    time = next(one for one in run_comparisons(joined) if one.quantity == "time")
    assert (time.pairs, time.ratio) == (3, pytest.approx(2.0))
