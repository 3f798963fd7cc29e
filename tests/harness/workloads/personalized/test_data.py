"""Data: shipped, drawn, installed and by path; divided so that no image is in two places."""

import gzip
import struct

import numpy as np
import pytest

from harness.core.errors import DataError
from harness.workloads.personalized.data import clubs, digits, idx
from harness.workloads.personalized.data.clubs import DataSettings, open_data
from harness.workloads.personalized.data.split import Division, divide

pil = pytest.importorskip("PIL.Image")


def keys(images):
    return [image.numpy().tobytes() for image in images]


def settings(name="digits", clients=6, **changes):
    how = {k: changes.pop(k) for k in ("split", "concentration", "classes_each", "public_share")
           if k in changes}  # fmt: skip
    return DataSettings(name, Division(clients, **how), **changes)


def test_the_shipped_digits_are_those_that_are_named() -> None:
    source = digits.digits()
    assert source.pictures.images.shape == (1797, 1, 8, 8)
    assert source.pictures.images.min() == 0
    assert source.pictures.images.max() == 1
    counts = np.bincount(source.pictures.named_labels()).tolist()
    assert counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    licence = digits.FILE.with_name("DIGITS-LICENCE.txt").read_text()
    assert "CC BY 4.0" in licence
    assert "Alpaydin" in licence
    assert digits.FILE.stat().st_size < 60_000


def test_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    found = datasets.load_digits()
    source = digits.digits().pictures
    assert np.array_equal(source.images[:, 0] * 16, found.images.astype(np.float32))
    assert np.array_equal(source.named_labels(), found.target)


def test_a_changed_file_is_refused(tmp_path, monkeypatch) -> None:
    broken = tmp_path / "digits.npz"
    broken.write_bytes(digits.FILE.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(digits, "FILE", broken)
    with pytest.raises(DataError, match="not the file that was shipped"):
        digits.digits()
    broken.unlink()
    with pytest.raises(DataError, match="No such file"):
        digits.digits()


def test_the_file_can_be_made_anew(tmp_path) -> None:
    rows = np.arange(3 * 65).reshape(3, 65) % 17
    table = tmp_path / "table.csv"
    table.write_text("\n".join(",".join(map(str, row)) for row in rows))
    out = tmp_path / "out.npz"
    digits.make(table, out)
    with np.load(out) as stored:
        assert np.array_equal(stored["images"].reshape(3, 64), rows[:, :64])
        assert np.array_equal(stored["labels"], rows[:, 64])


@pytest.mark.parametrize("split", ["dirichlet", "classes", "iid"])
@pytest.mark.parametrize("name", ["digits", "glyphs"])
def test_no_image_is_in_two_places(name, split) -> None:
    """Another client's, training and tests, public: all disjoint by content too."""
    club = open_data(settings(name, split=split)).club(3)
    parts = [keys(images) for own in club.clients for images in (own.train_images, own.test_images)]
    parts.append(keys(club.public_images))
    together = [key for part in parts for key in part]
    assert len(together) == len(set(together))
    assert len(club) >= 100
    for own in club.clients:
        assert len(own.train_labels) + len(own.test_labels) >= 10
        assert len(own.test_labels) >= 1
        assert not own.why_not_counted
    if name == "digits":
        assert len(together) == 1797


def test_the_same_seed_divides_alike_and_another_otherwise() -> None:
    one, again, other = (open_data(settings()).club(seed) for seed in (0, 0, 1))
    assert keys(one.clients[2].train_images) == keys(again.clients[2].train_images)
    assert keys(one.clients[2].train_images) != keys(other.clients[2].train_images)
    shifted = open_data(settings(data_seed=9)).club(0)
    assert keys(one.public_images) != keys(shifted.public_images)


def test_classes_each_gives_every_client_so_many() -> None:
    club = open_data(settings(split="classes", classes_each=2, clients=10)).club(0)
    for own in club.clients:
        assert len(set(own.train_labels.tolist()) | set(own.test_labels.tolist())) == 2
    assert {label for own in club.clients for label in own.train_labels.tolist()} == set(range(10))


def test_a_small_concentration_is_less_even() -> None:
    def spread(concentration):
        club = open_data(settings(concentration=concentration, clients=4)).club(0)
        counts = [np.bincount(c.train_labels, minlength=10) / len(c.train_labels)
                  for c in club.clients]  # fmt: skip
        return float(np.std(counts))

    assert spread(0.2) > 2 * spread(100.0)


def test_draws_that_leave_a_client_too_little_are_drawn_again_or_refused() -> None:
    labels = np.repeat(np.arange(10), 4)
    with pytest.raises(DataError, match="cannot be divided"):
        divide(labels, Division(12), np.random.default_rng(0), public=False)
    labels = np.repeat(np.arange(10), 40)
    shares = divide(labels, Division(8, concentration=0.1), np.random.default_rng(0), public=True)
    for train, test in zip(shares.train, shares.test, strict=True):
        own = labels[np.concatenate([train, test])]
        assert len(own) >= 10
        assert len(set(own)) >= 2


def test_hands_differ_by_client_as_far_as_asked() -> None:
    def spread(style):
        club = open_data(settings("glyphs", style=style)).club(0)
        return float(np.std([float(c.train_images.mean()) for c in club.clients]))

    assert spread(1.0) > 3 * spread(0.0)


def test_labels_may_be_thrown_away() -> None:
    assert open_data(settings(labels=False)).club(0).public_labels is None


# files in IDX form


def write_idx(path, array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def idx_set(tmp_path):
    random = np.random.default_rng(0)
    for part, count in (("train", 300), ("t10k", 100)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", random.integers(0, 256, (count, 9, 9)))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.arange(count) % 5)
    return tmp_path


def test_a_folder_of_idx_files_is_read(idx_set) -> None:
    data = open_data(settings(str(idx_set), clients=3, public_share=0.3))
    assert data.source.shape == (1, 9, 9)
    assert len(data.source.pictures) == 400
    assert data.club(0).classes == 5
    plain = idx.read_idx(idx_set / "t10k-images-idx3-ubyte.gz")
    assert np.array_equal(data.source.pictures.images[300:, 0], plain / np.float32(255))


@pytest.mark.parametrize(
    ("damage", "says"),
    [(lambda p: p.write_bytes(p.read_bytes()[:-9]), "cannot be read"),
     (lambda p: p.write_bytes(gzip.compress(b"\0\0\x0d\x01\0\0\0\1x")), "no IDX file of bytes"),
     (lambda p: p.write_bytes(gzip.compress(b"\0\0\x08\x03\0\0")), "breaks off"),
     (lambda p: write_idx(p, np.zeros((7, 9, 9))), "labels"),
     (lambda p: p.unlink(), "train")],
)  # fmt: skip
def test_damaged_idx_files_are_named(idx_set, damage, says) -> None:
    damage(idx_set / "train-images-idx3-ubyte.gz")
    if says == "train":
        (idx_set / "t10k-images-idx3-ubyte.gz").unlink()
        with pytest.raises(DataError):
            open_data(settings(str(idx_set)))
        return
    clubs._source.cache_clear()
    with pytest.raises(DataError, match=says):
        open_data(settings(str(idx_set)))


def test_fashion_mnist_that_is_not_installed_says_how_to_get_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(clubs, "FASHION", tmp_path)
    clubs._source.cache_clear()
    with pytest.raises(DataError) as caught:
        open_data(settings("fashion-mnist"))
    assert "dataset-fashion-mnist" in caught.value.remedy


# folders of images


def write_images(folder, count, size=(8, 8), mode="L", seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    channels = () if mode == "L" else (3,)
    for i in range(count):
        pixels = random.integers(0, 256, (*size, *channels)).astype(np.uint8)
        pil.fromarray(pixels, mode).save(folder / f"{i}.png")


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("cat", "dog")):
        write_images(tmp_path / name, 30, seed=number)
    return tmp_path


def test_folders_of_classes_are_read_and_doubles_left_out(folder) -> None:
    (folder / "dog" / "copy.png").write_bytes((folder / "cat" / "3.png").read_bytes())
    source = clubs._source.__wrapped__(str(folder))
    assert source.classes == ("cat", "dog")
    assert len(source.pictures) == 60
    assert "twice" in source.note


def test_public_images_beside_classes_are_apart_from_clients(folder) -> None:
    write_images(folder / "public" / "cat", 5, seed=7)
    (folder / "public" / "cat" / "known.png").write_bytes((folder / "cat" / "0.png").read_bytes())
    club = open_data(settings(str(folder), clients=2)).club(0)
    assert len(club) == 5
    assert club.public_labels.tolist() == [0] * 5
    owned = {k for c in club.clients for k in keys(c.train_images) + keys(c.test_images)}
    assert not owned & set(keys(club.public_images))


def test_public_images_without_classes_have_no_labels(folder) -> None:
    write_images(folder / "public", 4, seed=8)
    assert open_data(settings(str(folder), clients=2)).club(0).public_labels is None


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(lambda f: write_images(f / "public" / "cow", 2), "cow"),
     (lambda f: write_images(f / "public" / "cat", 2, size=(8, 6)), r"\(1, 8, 6\)"),
     (lambda f: write_images(f / "public", 2, mode="RGB"), r"\(3, 8, 8\)"),
     (lambda f: write_images(f / "cat", 1, size=(9, 9)), r"\(1, 9, 9\)"),
     (lambda f: (f / "cat" / "0.png").write_text("no image"), "is no image"),
     (lambda f: [p.unlink() for d in ("cat", "dog") for p in (f / d).iterdir()], "no images"),
     (lambda f: [p.unlink() for p in (f / "dog").iterdir()] + [(f / "dog").rmdir()], "1 folders")],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_both_shapes(folder, spoil, says) -> None:
    spoil(folder)
    with pytest.raises(DataError, match=says):
        open_data(settings(str(folder), clients=2))


def test_a_folder_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        open_data(settings(str(tmp_path / "nothing")))
