"""A meter of several rails leaves each rail's joules beside the sum."""

import re

from harness.core.schema import COST_PHASES
from tests.harness.run_folder.conftest import only, rows


def test_rails_of_a_run_stand_in_components(runner, tmp_path):
    """9 W into a module of which 4 W go to the processor, for ever."""
    trace = tmp_path / "rails.csv"
    lines = "".join(f"{n / 10},VDD_IN,9\n{n / 10},VDD_CPU,4\n" for n in range(6000))
    trace.write_text(f"t_s,rail,power_w\n{lines}")
    meter = f"replay:path={trace},totals=VDD_IN,scope=module"
    runner.run(tmp_path / "out", meter=meter, methods=("all-in-one",), rounds=1, rate_hz=50.0)
    folder = only(tmp_path / "out")
    (cell,) = rows(folder, "cells")
    found = rows(folder, "components")
    whole = {row["rail"]: row for row in found if not row["phase"]}
    assert (whole["VDD_IN"]["role"], whole["VDD_CPU"]["role"]) == ("total", "part")
    assert (whole["VDD_IN"]["component"], whole["VDD_CPU"]["component"]) == ("module", "processor")
    assert {row["meter"] for row in found} == {"replay"}
    assert {row["phase"] for row in found} >= {"", "train", "aggregate"}
    charged = [r for r in rows(folder, "phases") if r["phase"] in COST_PHASES]
    shortest_s = float(cell["time_s"])
    longest_s = max(float(r["end_s"]) for r in charged) - min(float(r["start_s"]) for r in charged)
    for rail, power_w in (("VDD_IN", 9.0), ("VDD_CPU", 4.0)):
        if whole[rail]["energy_j"]:
            # Joules do not stop between phases; how long that takes is up to a busy machine.
            energy_j = float(whole[rail]["energy_j"])
            assert power_w * shortest_s * 0.999 <= energy_j <= power_w * longest_s * 1.001
        else:
            # on a host that let no reading through, words stand in place of a figure
            assert re.search(r"too short|no sample for", whole[rail]["reason"])


def test_a_meter_of_one_rail_has_nothing_to_divide(undisturbed):
    assert not (undisturbed / "components.csv").exists()
