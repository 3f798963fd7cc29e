"""What a simple workload takes from another machine, and refuses."""

import math

import pytest

from harness.core.errors import RefusedError, UsageError
from harness.federated.trainers import RoundRequest
from harness.workloads.simple import SimpleWire

REQUEST = RoundRequest("job", ("w",), 0, [0], 0, {})


def test_settings_come_back_as_numbers():
    """A whole number of JSON is a number like any other."""
    assert SimpleWire.read_settings(SimpleWire.settings({"rate": 0.1, "steps": 2})) == {
        "rate": 0.1, "steps": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize("plain", [None, [], "rate", {"rate": "fast"}, {"rate": True},
                                   {"rate": math.nan}, {"rate": None}])  # fmt: skip
def test_settings_of_another_form_are_refused(plain):
    """A device trains by numbers alone."""
    with pytest.raises(ValueError, match="numbers by name"):
        SimpleWire.read_settings(plain)


def test_what_nobody_asked_for_is_refused():
    """Measurements beside the training, and batches that there are not."""
    assert SimpleWire.read_measured(None, REQUEST, 0) is None
    with pytest.raises(RefusedError):
        SimpleWire.read_measured({"mean": [1.0]}, REQUEST, 0)
    with pytest.raises(UsageError, match="without batches"):
        SimpleWire.with_batch({"rate": 0.1}, 4)
