"""A meter of several rails leaves each rail's joules beside the sum."""

import pytest

from tests.harness.run_folder.conftest import only, rows


def test_rails_of_a_run_stand_in_components(runner, tmp_path):
    """9 W into a module of which 4 W go to the processor, for ever."""
    trace = tmp_path / "rails.csv"
    lines = "".join(f"{n / 10},VDD_IN,9\n{n / 10},VDD_CPU,4\n" for n in range(6000))
    trace.write_text(f"t_s,rail,power_w\n{lines}")
    meter = f"replay:path={trace},totals=VDD_IN,scope=module"
    runner.run(tmp_path / "out", meter=meter, methods=("all-in-one",), rounds=1)
    folder = only(tmp_path / "out")
    (cell,) = rows(folder, "cells")
    found = rows(folder, "components")
    whole = {row["rail"]: row for row in found if not row["phase"]}
    assert (whole["VDD_IN"]["role"], whole["VDD_CPU"]["role"]) == ("total", "part")
    assert (whole["VDD_IN"]["component"], whole["VDD_CPU"]["component"]) == ("module", "processor")
    assert {row["meter"] for row in found} == {"replay"}
    assert {row["phase"] for row in found} >= {"", "train", "aggregate"}
    for rail, power_w in (("VDD_IN", 9.0), ("VDD_CPU", 4.0)):
        if whole[rail]["energy_j"]:
            assert float(whole[rail]["energy_j"]) == pytest.approx(
                power_w * float(cell["time_s"]), rel=0.02
            )
        else:
            assert "too short" in whole[rail]["reason"]


def test_a_meter_of_one_rail_has_nothing_to_divide(undisturbed):
    assert not (undisturbed / "components.csv").exists()
