"""The record of a fleet says of each device whether its way of executing steps was compared."""

import pytest

from harness.evidence.judging import judge

WAY = "bf16+channels-last+fused"
PASSED = {"execution": WAY, "network": "sd", "fault": ""}


def device(name, *steps, prepared=True, refused=""):
    told = {"data": "ab", "images": {}, "idle_w": None} if prepared else None
    return {"device": name, "prepared": told, "steps": list(steps), "refused": refused}


@pytest.fixture
def findings(draft):
    """Return what is found of devices, by code, in a run with these and that way."""

    def judged(devices, way=WAY):
        run = draft().fill()
        run.manifest |= {"step": {"execution": way}, "fleet": {"devices": devices}}
        found = [f for f in judge(run.write()).findings if f.code in CODES]
        return [(f.level, f.code, f.text) for f in found]

    return judged


CODES = ("step-unchecked", "left-out-device")


def test_a_way_that_passed_on_every_device_is_no_finding(findings) -> None:
    assert findings([device("pi4", PASSED), device("orin", {**PASSED, "fault": "x"}, PASSED)]) == []


def test_a_device_that_trained_without_a_comparison_limits_the_run(findings) -> None:
    """One of another way, one that failed and one of a run before there was any, alike."""
    other, failed = {**PASSED, "execution": "fp32"}, {**PASSED, "fault": "cosine 0.3"}
    devices = [device("pi4", PASSED), device("pi5", other), device("orin", failed), device("nano")]
    ((level, code, text),) = findings(devices)
    assert (level, code) == ("limit", "step-unchecked")
    assert text.endswith("on pi5, orin, nano")


def test_plain_steps_need_no_comparison(findings) -> None:
    assert findings([device("pi4"), device("pi5")], way="fp32+channels-last+loop") == []


def test_a_device_that_refused_is_named_with_its_reason(findings) -> None:
    failed = {**PASSED, "fault": "cosine 0.3"}
    refused = device("orin", failed, prepared=False, refused="bf16 steps compute something else")
    assert findings([device("pi4", PASSED), refused]) == [
        ("note", "left-out-device", "orin took no part: bf16 steps compute something else")
    ]


@pytest.mark.parametrize(
    "devices", [None, 3, "text", [1, None], [{"steps": {"a": 1}}], [{"steps": [1], "refused": []}]]
)
def test_a_manifest_of_others_making_is_no_traceback(findings, devices) -> None:
    assert findings(devices) == []
