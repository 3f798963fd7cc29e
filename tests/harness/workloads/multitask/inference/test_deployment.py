"""A run says which models answer what; what it does not say, or lacks, is an error."""

import pytest

from harness.core.errors import DamagedRunError, UsageError
from harness.workloads.multitask.inference.deployment import chosen_cells, deployment


def cell(run, method, seed=0):
    (row,) = [r for r in run.cells if (r["method"], r["seed"]) == (method, seed)]
    return row


def parts(found):
    return [(model.job, model.tasks) for model in found.models]


def test_a_method_answers_with_all_its_models(write_run) -> None:
    run = write_run()
    alone = deployment(run, cell(run, "independent"))
    assert parts(alone) == [("s", "s"), ("d", "d"), ("n", "n")]
    assert alone.answering == alone.models
    assert parts(deployment(run, cell(run, "all-in-one"))) == [("sdn", "sdn")]


def test_a_model_serves_only_what_no_better_one_does(write_run) -> None:
    """Of overlapping groups sd and dn the second serves d, so the first is not asked for it."""
    found = deployment((run := write_run()), cell(run, "hoa:splits=2"))
    assert parts(found) == [("sd", "s"), ("dn", "dn")]
    assert found.tasks == "sdn"


def test_models_of_clients_answer_one_client_at_a_time(write_run) -> None:
    """Both are there to be judged, one answers an image."""
    found = deployment((run := write_run()), cell(run, "standalone"))
    assert parts(found) == [("sdn@0", "sdn"), ("sdn@1", "sdn")]
    assert [model.job for model in found.answering] == ["sdn@0"]
    assert found.models[0].trained == "sdn"


def test_the_last_loss_counts(write_run) -> None:
    found = deployment((run := write_run()), cell(run, "all-in-one"))
    assert found.models[0].losses == {"s": 1.0, "d": 1.0, "n": 1.0}


def test_a_run_that_does_not_say_who_serves_is_read_by_its_groups(write_run) -> None:
    """Runs of the first schema version; of two groups with a task the first serves it."""
    run = write_run(serves=False)
    assert parts(deployment(run, cell(run, "hoa:splits=2"))) == [("sd", "sd"), ("dn", "n")]


def test_missing_weights_are_named(write_run) -> None:
    run = write_run()
    (run.folder / "checkpoints" / "all-in-one-s0-r0" / "sdn.safetensors").unlink()
    with pytest.raises(DamagedRunError, match=r"sdn\.safetensors is missing"):
        deployment(run, cell(run, "all-in-one"))


def test_methods_are_chosen_as_typed_or_by_name(write_run) -> None:
    run = write_run()
    rows = chosen_cells(run, ("hoa", "independent"), (1,))
    assert [row["cell"] for row in rows] == ["hoa-splits-2-s1-r0", "independent-s1-r0"]
    assert [row["seed"] for row in chosen_cells(run, ("all-in-one",), None)] == [0, 1]
    assert {row["seed"] for row in chosen_cells(run, (), ())} == {0}


@pytest.mark.parametrize(
    ("methods", "seeds", "words"),
    [(("hao",), (), "Did you mean 'hoa'"), ((), (7,), "no finished cell of seed 7")],
)
def test_what_is_not_in_the_run_is_refused(write_run, methods, seeds, words) -> None:
    with pytest.raises(UsageError) as caught:
        chosen_cells(write_run(), methods, seeds)
    assert words in str(caught.value)


def test_a_run_without_a_finished_cell_has_no_models(write_run) -> None:
    with pytest.raises(DamagedRunError, match="no cell is finished"):
        chosen_cells(write_run(seeds=()), (), ())
