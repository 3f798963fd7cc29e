"""A Trainer's callback measures training, epochs and evaluations."""

import pytest

pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from harness.adapters.transformers import EnergyCallback
from harness.measurement import Measurement


@pytest.mark.filterwarnings("ignore")
def test_the_example_measures_epochs_evaluations_and_samples(example, table, capsys):
    folder = example("transformers_trainer.py")
    rows = table(folder, "phases")
    names = [row["phase"] for row in rows]
    assert names.count("epoch") == names.count("evaluate") == 2
    assert names.count("train") == 1
    (cell,) = table(folder, "cells")
    assert float(cell["energy_j"]) == pytest.approx(
        10.0 * float(cell["time_s"]), abs=float(cell["energy_error_j"])
    )
    assert "'epoch_energy_per_sample_j'" in capsys.readouterr().out


def test_in_a_measured_program_its_phases_land_there():
    """No meter of its own, and no session."""
    callback = EnergyCallback(meter="simulated")
    state = type("State", (), {"epoch": 0.0, "global_step": 0, "log_history": []})()
    with Measurement(meter="none") as session:
        callback.on_train_begin(None, state, None)
        callback.on_epoch_begin(None, state, None)
        callback.on_epoch_end(None, state, None)
        callback.on_train_end(None, state, None)
    assert set(session.phases) == {"train", "epoch"}
    assert callback.session is None
    assert state.log_history == []
