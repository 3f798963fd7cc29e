"""Check that configurations are read strictly and that every option does something."""

import argparse
from dataclasses import fields

import pytest

from harness.cli.options import add_config_options, config_from, option_name
from harness.config import RunConfig, make_config, parse_seeds
from harness.core.errors import HarnessError, UnknownNameError, UsageError
from harness.core.parser import Parser, read_options
from harness.workloads.multitask.config import QUICK, MultitaskConfig, read_multitask_file

OTHER = {
    "device": "raspberry-pi-4", "meter": "none", "methods": "all-in-one", "tasks": "sd",
    "data": "scenes", "model": "xception", "size": "128", "clients": "9", "images": "32",
    "unseen_buildings": "2", "unseen_images": "8", "data_seed": "5", "skew": "0.5",
    "clients_per_round": "3", "rounds": "7", "epochs": "2", "batch_size": "4",
    "loss": "rotated", "protocol": "release",
    "learning_rate": "0.5", "momentum": "0.5", "weight_decay": "0.001", "look_ahead_every": "3",
    "evaluate_every": "1", "seeds": "3-5", "repeats": "2", "threads": "1", "idle_s": "0",
    "accelerator": "cpu",
    "board_python": "/usr/bin/python3",
    "rate_hz": "2", "out": "elsewhere", "cache": "here", "order": "fixed", "cool_down": "9",
    "server": "fedyogi", "client_tasks": "sdn|kt",
    "label_skew": "classes", "concentration": "2.5", "classes_each": "3",
    "optimizer": "nesterov", "schedule": "hold", "step": "fp32+channels-last+fused",
}  # fmt: skip

BESIDE = {
    "concentration": ["--label-skew", "dirichlet"], "classes_each": ["--label-skew", "classes"],
}  # fmt: skip
"""Options that are refused without another."""


def _config(*words: str) -> MultitaskConfig:
    parser = Parser(prog="x")
    add_config_options(parser, MultitaskConfig)
    return config_from(read_options(parser, words), MultitaskConfig)


@pytest.mark.parametrize("field", fields(MultitaskConfig), ids=lambda f: f.name)
def test_every_option_changes_the_configuration(field) -> None:
    """An option given on the command line ends up in its own field and in no other."""
    if isinstance(field.default, bool):
        words = [option_name(field)]
    elif field.name == "data":
        pytest.skip("another value needs a store: test_data_catalogue.py of the workload multitask")
    elif field.name == "workload":
        pytest.skip("another value needs a package that brings one; wrong ones are refused below")
    else:
        words = [option_name(field), OTHER[field.name], *BESIDE.get(field.name, ())]
    plain, changed = MultitaskConfig(), _config(*words)

    differing = {
        f.name
        for f in fields(MultitaskConfig)
        if getattr(plain, f.name) != getattr(changed, f.name)
    }
    follows = {
        "quick": set(QUICK),
        "client_tasks": {"methods"},  # most need clients that have all labels
        "tasks": {"methods"},  # two tasks cannot be split in three
        "protocol": {"loss", "step"},  # a protocol brings its own along
        "concentration": {"label_skew"},
        "classes_each": {"label_skew"},
    }
    allowed = {field.name} | follows.get(field.name, set())
    assert field.name in differing
    assert differing <= allowed


def test_precedence_is_defaults_quick_file_options(tmp_path) -> None:
    """A file beats the quick preset, an option beats the file, the rest keeps its default."""
    file = tmp_path / "run.toml"
    file.write_text("quick = true\nclients = 5\nrounds = 4\nskew = 1\nseeds = [1, 2]\n")

    config = _config("--config", str(file), "--rounds", "3")

    assert (config.clients, config.rounds, config.seeds) == (5, 3, (1, 2))
    assert config.batch_size == QUICK["batch_size"]
    assert config.learning_rate == MultitaskConfig().learning_rate
    assert config.skew == 1.0


def test_unknown_key_in_a_file_is_an_error_with_the_right_word(tmp_path) -> None:
    """A misspelt key is refused, not ignored; all of a file's faults are named at once."""
    file = tmp_path / "run.toml"
    file.write_text('leaning_rate = 0.1\nrounds = "many"\n')

    with pytest.raises(HarnessError) as raised:
        read_multitask_file(file)

    assert "learning_rate" in str(raised.value)
    assert "rounds" in str(raised.value)
    assert raised.value.exit_status == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--devise", "x86"], "--device"),
        (["--workload", "multitsk"], "multitask"),
        (["--model", "smal"], "small"),
        (["--tasks", "sdd"], "twice"),
        (["--methods", "indepedent"], "independent"),
        (["--methods", "mas,mas"], "twice"),
        (["--rounds", "ten"], "ten"),
        (["--rounds", "0"], "at least 1"),
        (["--images", "30"], "multiple"),
        (["--skew", "2"], "skew"),
        (["--seeds", "3-1"], "backwards"),
        (["--seeds", "9007199254740993"], "from 0 to 9007199254740992"),  # no table holds more
        (["--cool-down", "1e30"], "86400 at most"),
        (["--methods", "mas:sure=0.5,mas:sure=+0.5"], "names of another's"),
        (["--learning-rate", "nan"], "learning-rate"),
        *(
            (
                ["--label-skew", "dirichlet", "--concentration", x],
                "--concentration must be at least",
            )
            for x in ("nan", "inf", "-1")
        ),
        (["--optimizer", "nesterov", "--momentum", "0"], "nothing with --momentum 0"),
        (["--server", "averaged-momentum", "--momentum", "0"], "nothing with --momentum 0"),
        (["--methods", "mas-together:share=1.5"], "share must be at most 1"),
        (["--methods", "mas-plus:factor=0"], "factor must be at least"),
        (["--methods", "tuned-weights:tries=1000000000"], "tries must be at most 1000"),
        (["--data", "taskonomi"], "scenes"),
        (["--config", "/nowhere/at/all.toml"], "all.toml"),
    ],
)
def test_wrong_words_are_refused_with_the_right_one(words: list[str], expected: str) -> None:
    """Each bad value is a usage error (exit 2) whose text leads to the right one."""
    with pytest.raises(HarnessError, match=expected) as raised:
        _config(*words)
    assert raised.value.exit_status == 2


@pytest.mark.parametrize(("text", "seeds"), [("0", (0,)), ("0-2", (0, 1, 2)), ("4,0-1", (4, 0, 1))])
def test_seeds_are_ranges_and_lists(text: str, seeds: tuple[int, ...]) -> None:
    """0-2 is three seeds; commas join pieces in the order given."""
    assert parse_seeds(text) == seeds


def test_the_digest_ignores_where_results_go_and_nothing_else() -> None:
    """Two folders give one digest; any value that decides results gives another."""
    assert MultitaskConfig(out="a", cache="b").digest() == MultitaskConfig().digest()
    assert MultitaskConfig(momentum=0.8).digest() != MultitaskConfig().digest()


def test_help_names_every_field() -> None:
    """No field is without its line of help."""
    parser = argparse.ArgumentParser()
    add_config_options(parser, MultitaskConfig)
    text = parser.format_help()

    assert all(option_name(field) in text for field in fields(MultitaskConfig))
    with pytest.raises(UsageError):
        Parser(prog="x").error("wrong")


def test_no_home_folder_is_in_what_is_kept(monkeypatch, tmp_path) -> None:
    """Paths are kept with ~ for the home folder, which names a person; they still lead there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    config = MultitaskConfig(out=f"{tmp_path}/runs", cache=f"{tmp_path}/cache", data="scenes")

    kept = config.as_dict()

    assert (kept["out"], kept["cache"], kept["data"]) == ("~/runs", "~/cache", "scenes")
    assert config.cache_folder == tmp_path / "cache"


def test_an_unknown_workload_is_told_once() -> None:
    """None of its methods can be right, and none of them is to blame."""
    with pytest.raises(UnknownNameError, match="workload"):
        make_config(RunConfig, {"workload": "multitusk", "methods": ("mas", "tag", "hoa")})
