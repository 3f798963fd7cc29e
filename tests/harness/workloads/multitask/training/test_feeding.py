"""Data kept on a GPU, or copied ahead, make the same batches as data copied as they are read.

No GPU is at hand: the processor stands for it, and a recorder for streams and events.
"""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from harness.federated.observer import SilentObserver
from harness.workloads.multitask.federation import Federation, LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.training import batches as module
from harness.workloads.multitask.training.batches import ClientBatches, image_bytes, labels_of
from harness.workloads.multitask.training.client import LocalTraining
from harness.workloads.multitask.training.feeding import AHEAD, KEPT, GpuData, placed
from models.multitask.registry import architecture

CPU = torch.device("cpu")
TASKS = "sdnke"


class Recorder:
    """Be what copies beside the steps, and write down in which order."""

    def __init__(self):
        self.told = []
        self.inside = False
        self.given = []

    def empty(self, shape, dtype):
        self.given.append((tuple(shape), dtype))
        return torch.full(tuple(shape), 99, dtype=dtype)

    @contextmanager
    def beside(self):
        self.inside = True
        yield
        self.inside = False

    def mark(self):
        assert self.inside  # behind the copies, on their stream
        self.told.append(f"sent {len(self.told)}")
        return self.told[-1]

    def take(self, mark, tensors):
        assert mark in self.told
        self.told.append(f"taken {mark}")
        self.taken = list(tensors)


class Clients:
    """Serve two clients with numbers of every type that a store has, some beyond their sign."""

    normalisation = {"d": (1000.0, 37.0), "n": (0.0, 127.0), "k": (3.0, 0.7), "e": (0.1, 1.3)}  # noqa: RUF012
    depth_unit_m = 0.001
    masked = True
    lengths = (11, 6)

    def __init__(self):
        random = np.random.default_rng(5)
        self.arrays = [self._arrays(random, length) for length in self.lengths]

    def _arrays(self, random, length):
        shape = (length, 8, 8)
        return {
            "rgb": random.integers(0, 256, (*shape, 3)).astype(np.uint8),
            "s": random.integers(0, 18, shape).astype(np.uint8),
            "d": random.integers(0, 65536, shape).astype(np.uint16),
            "n": random.integers(-127, 128, (*shape, 3)).astype(np.int8),
            "k": random.normal(size=shape).astype(np.float32),
            "e": random.integers(-30000, 30000, shape).astype(np.int16),
            "mask": random.integers(0, 2, shape).astype(np.uint8),
        }

    def split(self, _split, client):
        return self.arrays[client]

    def length(self, _split, client):
        return self.lengths[client]

    def count(self, _split):
        return len(self.lengths)


def gpu_data(way, copies=None, source=None):
    source = source or Clients()
    found = GpuData(source, CPU, way, copies or Recorder())
    found.fill(labels_of(source.split("train", 0), TASKS, masked=True))
    return found


def read(source, how, client=1):
    """Return all batches of three epochs, or those in order."""
    own = ClientBatches(source, "train" if how != "test" else "test", client, TASKS)
    order = np.random.default_rng(3)
    if how in ("order", "test"):
        return list(own.in_order(4))
    rest, augment = how == "rest", "none" if how == "plain" else "flip"
    epochs = [own.epoch(2, order, rest=rest, augment=augment) for _ in range(3)]
    return [batch for epoch in epochs for batch in epoch]


@pytest.mark.parametrize("way", [KEPT, AHEAD])
@pytest.mark.parametrize("how", ["plain", "rest", "order", "test"])
@pytest.mark.parametrize("client", [0, 1])
def test_batches_are_the_same_to_the_last_bit_and_in_memory(way, how, client):
    """Images, targets, NaN where invalid, and strides, which decide by which kernels they go."""
    ours, theirs = read(gpu_data(way), how, client), read(Clients(), how, client)
    assert len(ours) == len(theirs) > 0
    for (images, targets), (others, wanted) in zip(ours, theirs, strict=True):
        assert torch.equal(images, others)
        assert images.stride() == others.stride()
        for task in TASKS:
            np.testing.assert_array_equal(targets[task].numpy(), wanted[task].numpy())
            assert targets[task].dtype == wanted[task].dtype
            assert targets[task].stride() == wanted[task].stride()


def test_targets_are_what_is_stored_less_offset_over_scale():
    """Against numpy: depth beyond the sign of 16 bits is not negative."""
    source = Clients()
    _, targets = next(ClientBatches(gpu_data(AHEAD, source=source), "test", 0, "d").in_order(11))
    stored = source.arrays[0]["d"].astype(np.float32)
    wanted = (stored - np.float32(1000.0)) / np.float32(37.0)
    wanted[source.arrays[0]["mask"] == 0] = np.nan
    np.testing.assert_array_equal(targets["d"][:, 0].numpy(), wanted)


def test_the_next_copy_is_begun_before_a_batch_is_handed_over(monkeypatch):
    """With groups of one batch: two are sent before the first is taken, then one for one."""
    monkeypatch.setattr(module, "AT_ONCE", 4)
    copies = Recorder()
    own = ClientBatches(gpu_data(AHEAD, copies), "train", 0, TASKS)
    handed = []
    for images, targets in own.in_order(4):
        handed.append(list(copies.told))
        assert {id(t) for t in copies.taken} == {id(images), *map(id, targets.values())}
    assert [len([w for w in told if w.startswith("sent")]) for told in handed] == [2, 3, 3]
    assert [len([w for w in told if w.startswith("taken")]) for told in handed] == [1, 2, 3]
    marks = [w.removeprefix("taken ") for w in copies.told if w.startswith("taken")]
    assert marks == [w for w in copies.told if w.startswith("sent")]


def test_of_kept_data_only_row_numbers_travel():
    """Two clients lie behind each other; what is fetched afterwards are 64-bit numbers."""
    copies = Recorder()
    source = gpu_data(KEPT, copies)
    read(source, "plain")
    assert {kind for _, kind in copies.given} == {torch.int64}
    assert not copies.told
    source.fill(["rgb"])  # a second time nothing is read
    source._source.arrays[0]["rgb"][:] = 0
    assert read(source, "order", client=0)[0][0].max() > 0


def test_a_device_keeps_the_data_of_its_own_clients_alone():
    """Others' batches are copied, and all are the same as ever."""
    source = Clients()
    own = GpuData(source, CPU, KEPT, Recorder(), clients=[1])
    own.fill(labels_of(source.split("train", 0), TASKS, masked=True))
    assert {len(tensor) for tensor in own._kept.values()} == {source.lengths[1]}
    for client in (0, 1):
        for ours, theirs in zip(
            read(own, "plain", client), read(source, "plain", client), strict=True
        ):
            assert torch.equal(ours[0], theirs[0])


def test_nothing_on_the_way_asks_the_gpu_for_a_value():
    """Tensors without values stand for one: a question to them would be an error."""
    own = ClientBatches(
        GpuData(Clients(), torch.device("meta"), AHEAD, Recorder()), "train", 0, TASKS
    )
    (images, targets), *_ = own.in_order(4)
    assert images.shape == (4, 3, 8, 8)
    assert targets["n"].shape == (4, 3, 8, 8)
    assert images.is_meta


def test_a_gpu_divides_by_a_tensor_as_a_processor_does_by_a_number():
    """Otherwise it multiplies with the reciprocal, which is another number for 126 of 256."""
    stored = torch.arange(256, dtype=torch.uint8)
    wanted = stored / 255.0
    assert torch.equal(stored / torch.full((), 255.0), wanted)
    assert not torch.equal(stored * torch.tensor(1.0 / 255.0), wanted)
    assert isinstance(module._divisor(255.0, torch.device("meta")), torch.Tensor)
    assert module._divisor(255.0, CPU) == 255.0


def test_large_images_are_made_few_at_a_time():
    """Of 8×8 images 64 at once; where one takes a mebibyte no more than 32."""
    own = ClientBatches(gpu_data(AHEAD), "train", 0, TASKS)
    assert own._at_once() == 64
    assert image_bytes("sdnke", 64) == 64 * 4 * (3 + 2 + 1 + 3 + 1 + 1)
    wide = Clients()
    for arrays in wide.arrays:
        arrays["rgb"] = np.zeros((2, 512, 512, 3), np.uint8)
    found = ClientBatches(gpu_data(AHEAD, source=wide), "train", 0, "")
    assert found._at_once() == 32 * 2**20 // (512 * 512 * 12)


@pytest.mark.parametrize("way", [KEPT, AHEAD])
def test_a_job_is_the_same_to_the_last_bit(way, tiny_source):
    """Weights, losses and affinity of a federated job; look-aheads and tests included."""

    def job(source):
        settings = Federation(2, 0.05, 2, LocalTraining(1, 2))
        engine = LocalEngine(source, architecture("small"), settings, 0, SilentObserver())
        return engine.run(Job("sdn", 2, measure_affinity=True))

    source = GpuData(tiny_source, CPU, way, Recorder())
    source.fill(labels_of(tiny_source.split("train", 0), "sdn", masked=False))
    ours, theirs = job(source), job(tiny_source)
    for name, tensor in theirs.weights.tensors.items():
        assert torch.equal(ours.weights.tensors[name], tensor)
    assert ours.losses == theirs.losses
    np.testing.assert_array_equal(ours.affinity.mean, theirs.affinity.mean)


def test_small_tensors_go_to_a_processor_as_they_are():
    chosen = torch.tensor([True, False])
    assert placed(chosen, CPU) is chosen
