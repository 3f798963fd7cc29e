"""Batches hold what the arrays hold: masked, normalised, mirrored, each image once."""

import numpy as np
import pytest
import torch

from harness.workloads.multitask.training.batches import ClientBatches, mirrored


class MaskedSource:
    """Serve five 4 × 4 images of one client whose every value is known."""

    normalisation = {"d": (10.0, 2.0), "n": (0.0, 100.0), "k": (0.0, 1.0), "a": (0.0, 255.0)}  # noqa: RUF012
    depth_unit_m = 1.0

    def __init__(self, masked=True):
        self.masked = masked
        count = np.arange(5 * 4 * 4).reshape(5, 4, 4)
        self.arrays = {
            "rgb": np.stack([count, count + 80, count + 160], -1).astype(np.uint8),
            "s": (count % 3).astype(np.uint8),
            "d": count.astype(np.uint16),
            "n": np.stack([count, -count, count // 2], -1).astype(np.int8),
            "k": count.astype(np.uint8),
            "mask": (count % 5 > 0).astype(np.uint8),
        }

    def split(self, split, client):
        return self.arrays

    def length(self, split, client):
        return 5

    def count(self, split):
        return 1


def batches(tasks, masked=True):
    return ClientBatches(MaskedSource(masked), "train", 0, tasks)


ROWS = np.array([1, 3])


def test_geometric_targets_are_nan_where_the_mask_is_0():
    """Depth and normals lose every fifth pixel; key points, classes and the picture lose none."""
    _, targets = batches("dnks").read(ROWS)
    invalid = np.arange(80).reshape(5, 4, 4)[ROWS] % 5 == 0
    depth = (np.arange(80).reshape(5, 4, 4)[ROWS] - 10.0) / 2
    np.testing.assert_array_equal(targets["d"][:, 0].numpy(), np.where(invalid, np.nan, depth))
    for channel in range(3):
        np.testing.assert_array_equal(np.isnan(targets["n"][:, channel].numpy()), invalid)
    assert not targets["k"].isnan().any()
    assert targets["s"].dtype == torch.int64


def test_a_source_without_invalid_pixels_has_no_nan():
    """The mask is looked at only where the source says that there is one."""
    _, targets = batches("dn", masked=False).read(ROWS)
    assert not targets["d"].isnan().any()


def test_mirroring_exchanges_left_and_right_and_turns_normals():
    """Columns are reversed in image and targets; the normals' first channel changes sign."""
    images, targets = batches("dnks").read(ROWS)
    flipped_images, flipped = mirrored((images, targets), np.array([False, True]))
    np.testing.assert_array_equal(flipped_images[0], images[0])
    np.testing.assert_array_equal(flipped_images[1].numpy(), images[1].numpy()[..., ::-1])
    for task in "dks":
        np.testing.assert_array_equal(flipped[task][0], targets[task][0])
        np.testing.assert_array_equal(flipped[task][1].numpy(), targets[task][1].numpy()[..., ::-1])
    signs = np.array([-1, 1, 1]).reshape(3, 1, 1)
    np.testing.assert_array_equal(flipped["n"][0], targets["n"][0])
    np.testing.assert_array_equal(
        flipped["n"][1].numpy(), targets["n"][1].numpy()[..., ::-1] * signs
    )


def test_mirroring_twice_changes_nothing():
    """Also not the sign of normals, nor where targets are NaN."""
    batch = batches("dnks").read(ROWS)
    chosen = np.array([True, True])
    images, targets = mirrored(mirrored(batch, chosen), chosen)
    np.testing.assert_array_equal(images, batch[0])
    for task, target in targets.items():
        np.testing.assert_array_equal(target, batch[1][task])


def images_of(augment, seed):
    order = np.random.default_rng(seed)
    return [images for images, _ in batches("d").epoch(2, order, rest=True, augment=augment)]


def test_augmentation_follows_the_order_stream_alone():
    """The same stream mirrors the same images; about half are; without it none is."""
    first, again = images_of("flip", 3), images_of("flip", 3)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    turned = 0
    for seed in range(40):
        seen = torch.cat(images_of("flip", seed))
        left = seen[:, 0, :, 0] < seen[:, 0, :, -1]  # grows to the right unless mirrored
        assert (left.all(dim=1) | (~left).all(dim=1)).all()
        turned += int((~left[:, 0]).sum())
    assert 60 < turned < 140  # of 200; 8 standard deviations
    for images in images_of("none", 3):
        assert (images[:, 0, :, 0] < images[:, 0, :, -1]).all()


@pytest.mark.parametrize("augment", ["none", "flip"])
def test_an_epoch_without_augmentation_draws_as_before(augment):
    """Every image comes once, mirrored or not."""
    seen = torch.cat(images_of(augment, 9))
    smallest = sorted(float(image[0].min()) * 255 for image in seen)
    assert smallest == pytest.approx([0, 16, 32, 48, 64])
