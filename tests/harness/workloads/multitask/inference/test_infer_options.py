"""The configuration of a run is taken over, but for what inference settles anew."""

import pytest

from harness.core.errors import DamagedRunError
from harness.core.parser import read_options
from harness.workloads.multitask.commands.infer import _config, _parser, main


def test_device_meter_and_what_computes_are_settled_anew(write_run) -> None:
    """A run on a graphics processor with four threads says nothing of where its models are used."""
    trained = {"accelerator": "cuda", "threads": 4, "meter": "rapl", "require_meter": True,
               "tasks": "sdn", "idle_s": 7.0, "size": 32}  # fmt: skip
    words = ["a-run", "--device", "jetson-nano", "--rate-hz", "5"]
    config = _config(write_run(config=trained), read_options(_parser(), words))
    assert (config.accelerator, config.threads, config.meter) == ("cpu", 0, "auto")
    assert (config.device, config.require_meter, config.rate_hz) == ("jetson-nano", False, 5.0)
    assert (config.tasks, config.idle_s, config.size) == ("sdn", 7.0, 32)


def test_a_configuration_of_another_version_is_refused(write_run) -> None:
    with pytest.raises(DamagedRunError, match="another version"):
        _config(write_run(config={"fashion": 1}), read_options(_parser(), ["a-run"]))


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--methods", "hoaa"), 2, ("unknown method of this run", "Did you mean 'hoa")),
        (("--seeds", "9"), 2, ("no finished cell of seed 9", "It has: 0, 1")),
        (("--providers", "gpu"), 2, ("unknown provider", "Known: cpu")),
        (("--window", "0.1"), 2, ("too short", "Give --window")),
        (("--threads", "999"), 2, ("--threads", "whole numbers")),
        (("--device", "jetson-nan"), 2, ("unknown device", "Did you mean 'jetson-nano'")),
        (("--require-meter", "--meter", "none"), 3, ("cannot be measured", "Leave out")),
    ],
)
def test_the_command_refuses_before_it_measures(write_run, capsys, words, status, said) -> None:
    """Tried on a run without data or real weights, of which nothing is opened till then."""
    run = write_run(seeds=(0, 1))
    assert main([str(run.folder), "--meter", "simulated", *words]) == status
    err = " ".join(capsys.readouterr().err.split())
    assert err.startswith("error: ")
    assert [text for text in said if text not in err] == []
    assert not (run.folder / "inference.csv").exists()
