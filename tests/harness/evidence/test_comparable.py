"""One list of facts: what compare refuses, the report pools and check and pack name."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from analysis.core.loading import load_run
from analysis.core.pooling import pool
from harness.cli.check import main as check
from harness.core.errors import NotComparableError
from harness.evidence.comparable import (
    accelerator_of,
    apart,
    apart_words,
    differences,
    model_differences,
    remarks,
)
from harness.evidence.comparing import compare, read_side

BASE: dict[str, Any] = {
    "device": {"name": "x86"}, "threads": 2, "quick": False,
    "host": {"matches_device": True, "memory_bytes": 25_276_502_016, "kernel": "6.1"},
    "config": {"seeds": [0], "methods": ["independent"], "rounds": 3, "batch_size": 8},
    "source": {"commit": "a"}, "data": {"checksum": "c"},
}  # fmt: skip


def changed(*path: str, value: object) -> dict[str, Any]:
    """Return the base with one value put in."""
    manifest = copy.deepcopy(BASE)
    inner = manifest
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
    inner[path[-1]] = value
    return manifest


@pytest.mark.parametrize(
    ("memory", "agrees"),
    [(25_276_510_208, True), (25_100_000_000, True), (24_900_000_000, False), (None, False)],
)
def test_memory_agrees_within_one_percent(memory: int | None, agrees: bool) -> None:
    """Two boots of one machine differed by 8 KB; half a gigabyte less is another machine."""
    assert (not differences(BASE, changed("host", "memory_bytes", value=memory))) is agrees


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("device", "name"), "jetson-nano"),
        (("step", "execution"), "bf16+channels-last+fused"),
        (("threads",), 1),
        (("step", "batch"), {"taken": 4}),
        (("host", "clock_limits_hz"), {"cpu_max_hz": 1_000_000}),
        (("host", "cores"), 4),
        (("config", "rounds"), 4),
        (("fleet", "devices"), [{"device": "pi", "partition": [0, 1]}]),
    ],
)
def test_what_compare_refuses_is_never_pooled(path: tuple[str, ...], value: object) -> None:
    """Board, precision, threads, batch size, pinned clocks: both names the same fact."""
    other = changed(*path, value=value)
    assert differences(BASE, other)
    assert [found.fact for found in apart(BASE, other)] == [
        found.fact for found in differences(BASE, other)
    ]
    assert apart_words([("a", BASE), ("b", other)])[0].startswith("b is not pooled with a: ")


def test_other_source_may_be_compared_with_a_note_but_not_averaged() -> None:
    other = changed("source", "commit", value="b")
    assert not differences(BASE, other)
    assert [str(found) for found in remarks(BASE, other)] == ["source commit: a → b"]
    assert apart(BASE, other)


def test_seeds_methods_and_places_keep_nothing_apart() -> None:
    other = changed("config", "seeds", value=[1])
    other["config"] |= {"methods": ["tag"], "out": "elsewhere", "cache": "/x", "repeats": 3}
    assert apart(BASE, other) == []


def test_the_report_and_compare_agree_on_the_same_folders(draft, capsys) -> None:
    """Other threads: refused by one, kept apart by the other, named by check."""
    folders: list[Path] = []
    for name, threads in (("a", 4), ("b", 2), ("c", 4)):
        begun = draft(name, config={"seeds": [0, 1], "repeats": 1})
        begun.manifest["threads"] = threads
        folders.append(begun.fill().write())
    with pytest.raises(NotComparableError, match="training threads: 4 → 2"):
        compare(read_side(str(folders[0])), read_side(str(folders[1])))
    assert compare(read_side(str(folders[0])), read_side(str(folders[2])))
    series = pool([load_run(folder) for folder in folders])
    assert [len(run.members) for run in series] == [2, 1]
    check([*map(str, folders), "--json"])
    words = json.loads(capsys.readouterr().out)["apart"]
    assert words == ["b is not pooled with a: training threads differ."]


def sides() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a run of a device's processor and one of its GPU, alike in all else."""
    processor, gpu = copy.deepcopy(BASE), copy.deepcopy(BASE)
    gpu["device"] = {**gpu.get("device", {}), "accelerator": "gpu"}
    processor["time_model"], gpu["time_model"] = {"flop_per_s": 1.0}, {"flop_per_s": 9.0}
    processor["energy_model"], gpu["energy_model"] = {"full_load_w": 5.0}, {"full_load_w": 9.0}
    gpu["step"] = {**gpu.get("step", {}), "execution": "channels-last"}
    return processor, gpu


def test_gpu_and_processor_of_one_device_may_be_compared_and_are_never_pooled() -> None:
    """What they rest on differs because of that, so it forbids nothing; the card is optional."""
    processor, gpu = sides()
    assert differences(processor, gpu) == []
    assert model_differences(processor, gpu) == []
    assert "accelerator: cpu → gpu" in [str(found) for found in remarks(processor, gpu)]
    gpu["accelerator"] = {"name": "gpu", "gpu": "Orin"}
    assert differences(processor, gpu) == []
    assert apart(processor, gpu)


def test_models_of_one_accelerator_must_agree_still() -> None:
    _, gpu = sides()
    other = copy.deepcopy(gpu)
    other["time_model"]["flop_per_s"] = 8.0
    assert [found.fact for found in model_differences(gpu, other)] == ["time_model flop_per_s"]


def test_two_cards_are_two_things() -> None:
    _, gpu = sides()
    gpu["accelerator"] = {"name": "gpu", "gpu": "NVIDIA A100"}
    other = copy.deepcopy(gpu)
    other["accelerator"]["gpu"] = "NVIDIA H100"
    assert [found.fact for found in differences(gpu, other)] == ["GPU"]


def test_runs_of_before_say_by_the_card_that_a_gpu_trained() -> None:
    old = copy.deepcopy(BASE)
    old["accelerator"] = {"name": "cuda", "gpu": "NVIDIA A100"}
    assert accelerator_of(old) == "gpu"
    assert accelerator_of(BASE) == "cpu"


def test_how_data_came_to_the_gpu_is_noted_and_forbids_nothing() -> None:
    _, gpu = sides()
    other = copy.deepcopy(gpu)
    gpu["step"] = {"execution": "fp16", "data": {"way": "kept"}}
    other["step"] = {"execution": "fp16", "data": {"way": "prefetched"}}
    assert differences(gpu, other) == []
    assert [str(found) for found in remarks(gpu, other)] == ["data to the GPU: kept → prefetched"]
    del other["step"]["data"]  # made before it was recorded
    assert remarks(gpu, other) == []
