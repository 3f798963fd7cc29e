"""Every option and every key of a file changes the configuration (ux.md section 8, no. 6)."""

from dataclasses import fields

import pytest

from harness.cli.options import add_config_options, config_from, option_name
from harness.core.parser import Parser, read_options
from harness.workloads.multitask.config import MultitaskConfig, read_multitask_file
from tests.harness.test_config import BESIDE, OTHER

ONLY_ONE = {"data", "workload"}
"""One data set needs no import, one workload no package; names are checked elsewhere."""


def other(field) -> str | None:
    if isinstance(field.default, bool):
        return None
    return OTHER[field.name]


def configured(*words: str) -> MultitaskConfig:
    parser = Parser(allow_abbrev=False)
    add_config_options(parser, MultitaskConfig)
    return config_from(read_options(parser, words), MultitaskConfig)


@pytest.mark.parametrize(
    "field", [f for f in fields(MultitaskConfig) if f.name not in ONLY_ONE], ids=lambda f: f.name
)
def test_every_option_and_key_counts(field, tmp_path) -> None:
    """Given on the command line or in a file, the value is not the default, and is the same."""
    value = other(field)
    words = [option_name(field)] if value is None else [option_name(field), value]
    beside = BESIDE.get(field.name, ())
    by_option = getattr(configured(*words, *beside), field.name)
    assert by_option != field.default
    if isinstance(by_option, tuple):
        text = str([str(v) if isinstance(v, str) else v for v in by_option]).replace("'", '"')
    else:
        text = f'"{by_option}"' if isinstance(by_option, str) else str(by_option).lower()
    file = tmp_path / "run.toml"
    file.write_text(f"{field.name} = {text}\n")
    assert read_multitask_file(file) == {field.name: by_option}
    assert getattr(configured("--config", str(file), *beside), field.name) == by_option


def test_what_decides_results_decides_the_digest() -> None:
    """Any field but the places of files makes another run."""
    plain = configured().digest()
    for field in fields(MultitaskConfig):
        if field.name in ("out", "cache", *ONLY_ONE):
            continue
        value = other(field)
        words = [option_name(field)] if value is None else [option_name(field), value]
        beside = BESIDE.get(field.name, ())
        without = configured(*beside).digest() if beside else plain
        assert configured(*words, *beside).digest() != without, field.name
    assert configured("--out", "a", "--cache", "b").digest() == plain
