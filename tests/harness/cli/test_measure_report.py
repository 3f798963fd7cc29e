"""What spoils figures is told apart from what is merely known."""

from harness.cli import measure_report


def test_a_note_is_no_disturbance(monkeypatch):
    own = {"runs": [{"status": "done", "reason": "", "components": [], "phases": []}],
           "flags": ["gpu-power-cap", "gpu-hw-thermal-slowdown", "left-running"],
           "time_s": 1.0, "time_deviation_s": None, "cpu_s": None}  # fmt: skip
    for name in ("_energy_rows", "_use_rows"):
        monkeypatch.setattr(measure_report, name, lambda own: [])
    monkeypatch.setattr(measure_report, "_memory", lambda own: "")
    lines = [line.split(maxsplit=1) for line in measure_report._lines(own)]
    assert ["disturbed", "gpu-hw-thermal-slowdown, left-running"] in lines
    assert ["noted", "gpu-power-cap"] in lines
