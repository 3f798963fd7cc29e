"""Only meters of different parts of a computer are added up."""

import pytest

from harness.core.errors import UnknownNameError, UsageError
from harness.measurement.scopes import (
    Covered,
    check_name,
    component,
    overlap,
    rail_component,
    rail_role,
    split_meters,
)


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        (("package", "gpu"), True),
        (("package+dram", "gpu"), True),
        (("package", "dram"), True),
        (("package", "package+dram"), False),
        (("psys", "package"), False),
        (("board", "gpu"), False),
        (("module", "soc"), False),
        (("wall", "gpu"), False),
        (("wall", "board"), False),
        (("package", "simulated"), False),
        (("gpu", "gpu"), False),
    ],
)
def test_which_scopes_are_disjoint(scopes, may):
    found = overlap([Covered(f"m{i}", scope) for i, scope in enumerate(scopes)])
    assert (found == "") is may
    assert may or all(scope in found for scope in scopes)


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("rapl", ["rapl"]),
        ("rapl+nvml", ["rapl", "nvml"]),
        ("replay:file=a,scope=package+dram+nvml", ["replay:file=a,scope=package+dram", "nvml"]),
        ("rapl+nvlm", ["rapl", "nvlm"]),
    ],
)
def test_a_sum_is_taken_apart(typed, parts):
    assert split_meters(typed) == parts


@pytest.mark.parametrize("typed", ["", "+rapl", "rapl+", "rapl++nvml"])
def test_a_missing_name_is_refused(typed):
    with pytest.raises(UsageError):
        split_meters(typed)


def test_the_nearest_name_is_offered():
    with pytest.raises(UnknownNameError, match="nvml"):
        check_name("nvlm")


def test_components_are_named():
    assert component("package+dram") == "memory+processor"
    assert component("something else") == "other"


@pytest.mark.parametrize(
    ("rail", "scope", "role", "component", "found"),
    [
        ("package-0", "package", "total", "processor", "total"),
        ("core", "package", "witness", "processor", "part"),
        ("dram", "package+dram", "total", "memory", "total"),
        ("psys", "package", "witness", "board", "witness"),
        ("VDD_GPU_SOC", "module", "witness", "gpu+soc", "part"),
        ("VDDQ_VDD2_1V8AO", "module", "witness", "", "part"),
        ("VDD_IN", "module", "total", "", "total"),
    ],
)
def test_rails_are_totals_parts_or_contain_the_total(rail, scope, role, component, found):
    assert rail_component(rail) == component
    assert rail_role(rail, scope, role) == found
