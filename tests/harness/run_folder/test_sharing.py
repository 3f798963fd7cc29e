"""Jobs shared between methods give the numbers of jobs trained apart, and their measured cost."""

import math
from collections import defaultdict

import pytest

from tests.harness.run_folder.conftest import CONSTANT_20_W, learned, only, rows

METHODS = ("mas:splits=2", "mas:splits=1", "all-in-one", "independent", "hoa")
LEARNED = (
    "groups", "total_loss", "unseen_total_loss", "delta_mtl", "upload_bytes", "download_bytes",
    "encoder_passes", "decoder_passes", "look_ahead_encoder_forwards",
    "look_ahead_decoder_forwards",
)  # fmt: skip
SETTINGS = {"methods": METHODS, "order": "fixed", "evaluate_every": 2, "rounds": 4}


@pytest.fixture(scope="module")
def apart(runner, tmp_path_factory):
    out = tmp_path_factory.mktemp("apart")
    runner.run(out, **SETTINGS)
    return only(out)


@pytest.fixture(scope="module")
def together(runner, tmp_path_factory):
    out = tmp_path_factory.mktemp("together")
    runner.run(out, share_jobs=True, meter=CONSTANT_20_W, **SETTINGS)
    return only(out)


def by_cell(folder, table):
    return {row["cell"]: row for row in rows(folder, table)}


def test_sharing_changes_no_number_of_any_method(apart, together) -> None:
    """Losses, splits, passes and bytes of every cell, and all reported values, are the same."""
    one, other = by_cell(apart, "cells"), by_cell(together, "cells")
    assert {c: [row[k] for k in LEARNED] for c, row in one.items()} == {
        c: [row[k] for k in LEARNED] for c, row in other.items()
    }
    assert learned(apart) == learned(together)


def test_rows_say_what_was_shared(together) -> None:
    """The fixed order is independent, mas, mas, all-in-one, hoa: later ones borrow, first ones not.

    All-in-one begins with the round that MAS merged; HOA needs the singles, and the pair, which is
    all-in-one, and whose first round was measured in yet another cell.
    """
    shared = {cell: row["shared_jobs"] for cell, row in by_cell(together, "cells").items()}
    assert shared == {
        "independent-s0-r0": "",
        "mas-splits-2-s0-r0": "",
        "mas-splits-1-s0-r0": "sd:0-0<mas-splits-2-s0-r0",
        "all-in-one-s0-r0": "sd:0-0<mas-splits-2-s0-r0",
        "hoa-s0-r0": "s:0-3<independent-s0-r0+d:0-3<independent-s0-r0"
        "+sd:0-0<mas-splits-2-s0-r0+sd:1-3<all-in-one-s0-r0",
    }


def test_what_was_measured_once_is_charged_to_each(together) -> None:
    """A borrowed phase has the lender's seconds and joules, is flagged, and is in the bill.

    Nobody is charged for look-aheads it did not ask for.
    """
    phases = defaultdict(list)
    for row in rows(together, "phases"):
        phases[row["cell"]].append(row)
    lent = {
        (row["start_s"], row["end_s"], row["energy_j"])
        for row in phases["mas-splits-2-s0-r0"]
        if row["round"] == "0" and row["phase"] != "affinity"
    }
    mine = [row for row in phases["all-in-one-s0-r0"] if row["round"] == "0"]
    assert {(row["start_s"], row["end_s"], row["energy_j"]) for row in mine} == lent
    assert all(row["flags"].split("+")[-1] == "shared" for row in mine)
    assert not [row for row in phases["all-in-one-s0-r0"] if row["phase"] == "affinity"]
    assert [row for row in phases["mas-splits-1-s0-r0"] if row["phase"] == "affinity"]
    for cell, row in by_cell(together, "cells").items():
        charged = [p for p in phases[cell] if p["phase"] in ("train", "affinity", "aggregate")]
        for column in ("time_s", "energy_j"):
            total = math.fsum(float(p[column]) for p in charged)
            assert float(row[column]) == pytest.approx(total, rel=1e-9), (cell, column)
        assert float(row["energy_j"]) == pytest.approx(20.0 * float(row["time_s"]), rel=1e-3)


@pytest.mark.whole
def test_a_run_that_shares_goes_on_after_a_stop(runner, apart, tmp_path) -> None:
    """Stopped after every round it trained and let go on, it ends with the same numbers."""
    from harness.running.limits import Limits  # noqa: PLC0415

    while runner.run(
        tmp_path, limits=Limits(time_s=1e-9), share_jobs=True, meter="none", **SETTINGS
    ).stopped:
        pass
    assert learned(only(tmp_path)) == learned(apart)
    cells = by_cell(only(tmp_path), "cells")
    assert all(float(row["time_s"]) > 0 for row in cells.values())
