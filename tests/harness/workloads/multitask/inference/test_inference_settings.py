"""Options are read or refused with the right one beside; a window suits its meter."""

import pytest

from harness.core.errors import UsageError
from harness.workloads.multitask.inference import settings
from harness.workloads.multitask.inference.providers import (
    PROVIDERS,
    missing,
    session_providers,
    usual,
)


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda: settings.names("--runtimes", "tourch", settings.RUNTIMES), "Did you mean 'torch'"),
        (lambda: settings.names("--precisions", "int8,int8", settings.PRECISIONS), "each once"),
        (lambda: settings.names("--precisions", ",", settings.PRECISIONS), "one or more"),
        (lambda: settings.providers("gpu"), "Known: cpu, xnnpack, cuda, tensorrt"),
        (lambda: settings.numbers("--batches", "1,x", 64), "cannot read"),
        (lambda: settings.numbers("--batches", "0", 64), "from 1 to 64"),
        (lambda: settings.numbers("--threads", "3", 2), "from 1 to 2"),
        (lambda: settings.numbers("--threads", "2", 1), "one core"),
        (lambda: settings.seconds("--window", "nan", 0.01), "Give seconds"),
        (lambda: settings.seconds("--window", "-1", 0.01), "Give seconds"),
        (lambda: settings.count("--queries", "1,2"), "one whole number"),
        (lambda: settings.seeds("one"), "--seeds"),
    ],
)
def test_nonsense_is_refused_with_a_remedy(read, words) -> None:
    with pytest.raises(UsageError, match=words):
        read()


def test_what_makes_sense_is_read() -> None:
    assert settings.names("--precisions", "int8, fp32", settings.PRECISIONS) == ("int8", "fp32")
    assert settings.numbers("--batches", "8,1", 64) == (8, 1)
    assert settings.seeds("0-2") == (0, 1, 2)
    assert settings.seeds("all") is None
    assert settings.seeds(None) == ()
    assert settings.providers("auto") == ()
    assert settings.methods("mas:splits=2,merge_rounds=3,hoa") == (
        "mas:splits=2,merge_rounds=3", "hoa",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "meter_s", "quick", "length"),
    [
        (0.0, 0.0, False, 2.0), (0.0, 0.1, False, 2.0), (0.0, 0.5, False, 5.0),
        (0.0, 0.1, True, 1.0), (0.0, 0.0, True, 0.2), (7.0, 0.5, False, 7.0), (5.0, 0.5, True, 5.0),
    ],
)  # fmt: skip
def test_a_window_is_ten_times_what_the_meter_averages_over(asked, meter_s, quick, length) -> None:
    assert settings.window_s(asked, meter_s, quick=quick) == length


def test_a_window_too_short_for_the_meter_is_refused() -> None:
    with pytest.raises(UsageError, match="needs 5 s"):
        settings.window_s(4.9, 0.5, quick=True)


@pytest.mark.parametrize(
    ("device", "arch", "names"),
    [
        ("x86", "x86_64", ("cpu",)),
        ("raspberry-pi-5", "aarch64", ("cpu", "xnnpack")),
        ("jetson-orin-nano", "aarch64", ("cpu", "xnnpack", "cuda", "tensorrt")),
        ("x86-nvidia", "x86_64", ("cpu", "cuda", "tensorrt")),
    ],
)
def test_each_device_should_have_what_it_can_use(device, arch, names) -> None:
    assert usual(device, arch) == names


def test_what_a_build_lacks_is_said_with_a_remedy() -> None:
    found = missing(("cpu", "cuda"), ["CPUExecutionProvider"], "9.9")
    assert list(found) == ["cuda"]
    assert "9.9" in found["cuda"]
    assert "onnxruntime-gpu" in found["cuda"]


def test_every_provider_falls_back_to_the_processor_only() -> None:
    """Nodes that a provider cannot run go to the processor, never to a third provider."""
    for name, own in PROVIDERS.items():
        given = session_providers(name, 3, int8=True)
        assert (given[0] if isinstance(given[0], str) else given[0][0]) == own
        assert given[-1] == "CPUExecutionProvider"
    assert session_providers("tensorrt", 1, int8=True)[0][1]["trt_int8_enable"] == "1"
