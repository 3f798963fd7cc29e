"""Files of a shard are mapped when their label is asked for, and refused if they are damaged."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import DataError
from harness.workloads.multitask.data.label_arrays import LabelArrays
from harness.workloads.multitask.data.scenes.building import LABELS
from harness.workloads.multitask.data.store import open_store

VICTIM = "train/client_01/n.npy"


def test_arrays_are_mapped_lazily_and_read_only(tiny_cache, tiny_config):
    """Only labels that were asked for are opened; they cannot be written to; `a` is `rgb`."""
    store = open_store(tiny_cache / tiny_config.folder_name())
    arrays = store.split("train", 0)
    assert isinstance(arrays, LabelArrays)
    assert arrays._opened == {}
    depth = arrays["d"]
    assert isinstance(depth, np.memmap)
    assert set(arrays._opened) == {"d"}
    assert arrays["d"] is depth
    with pytest.raises(ValueError, match="read-only"):
        depth[0, 0, 0] = 1
    assert arrays["a"] is arrays["rgb"]
    assert set(arrays) == {*LABELS, "a"}
    assert len(arrays) == 10
    with pytest.raises(KeyError):
        arrays["x"]


@pytest.mark.parametrize(("offset", "value"), [(0, b"X"), (30, b"@")])
def test_broken_header_is_noticed_on_access(copied_store, offset, value):
    """A file of the right size whose header is broken is reported when its label is asked for."""
    path = copied_store / VICTIM
    content = bytearray(path.read_bytes())
    content[offset : offset + 1] = value
    path.write_bytes(content)
    arrays = open_store(copied_store).split("train", 1)
    assert arrays["s"].shape == (4, 16, 16)
    with pytest.raises(DataError, match=r"n\.npy is damaged: expected int8"):
        arrays["n"]


def test_header_of_another_type_is_noticed_on_access(copied_store):
    """An array of equal size but other type is refused."""
    path = copied_store / VICTIM
    path.write_bytes(path.read_bytes().replace(b"'|i1'", b"'|u1'"))
    with pytest.raises(DataError, match="found uint8"):
        open_store(copied_store).split("train", 1)["n"]
