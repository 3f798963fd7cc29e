"""Ratings in their own forms are read alike; what cannot be read is named by file and line."""

import gzip
import json

import numpy as np
import pytest

from harness.core.errors import DataError, DataUsageError
from harness.workloads.unlearning.data.files import read_ratings

PAIRS = [("1", "11", "5"), ("1", "12", "3"), ("2", "11", "4")]
WORDS = [("A1B2C3D4E5F6G", "B000123456", "5.0"), ("A9", "B000999999", "1.0")]


def lines(rows, between, tail="", header=""):
    return header + "".join(between.join(row) + tail + "\n" for row in rows)


FORMS = {
    "u.data": lines(PAIRS, "\t", "\t881250949"),
    "ratings.dat": lines(PAIRS, "::", "::978300760"),
    "x.inter": lines(
        PAIRS, "\t", "\t8.8e8",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n",
    ),
    "ratings.csv": lines(PAIRS, ",", ",1", "userId,movieId,rating,timestamp\n"),
    "bare.csv": lines(PAIRS, ",", ",1"),
    "dos.csv": lines(PAIRS, ",", ",1\r", "userId,movieId,rating,timestamp\r\n"),
    "marked.csv": "\ufeff" + lines(PAIRS, ",", ",1", "userId,movieId,rating,timestamp\n"),
    "swapped.csv": "rating,movieId,userId\n" + lines([r[::-1] for r in PAIRS], ","),
    "no_rating.csv": "user_id,item_id\n" + lines([r[:2] for r in PAIRS], ","),
    "blank.csv": lines(PAIRS, ",", ",1\n\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_pairs(tmp_path, name) -> None:
    path = tmp_path / name
    path.write_text(FORMS[name], encoding="utf-8")
    _, found = read_ratings(path)
    assert [row[:2] for row in found] == [row[:2] for row in PAIRS]


def test_amazons_forms(tmp_path) -> None:
    """CSV with user or item first, and JSON lines of reviews of both generations, packed too."""
    texts = {
        "ratings_Music.csv": lines(WORDS, ",", ",1400000000"),
        "Music.csv": lines([(WORDS[0][1], WORDS[0][0], "5.0")], ",", ",1400000000"),
        "reviews_5.json": "".join(
            json.dumps({"reviewerID": u, "asin": i, "overall": float(r)}) + "\n"
            for u, i, r in WORDS
        ),
        "2023.jsonl": "".join(
            json.dumps({"user_id": u, "asin": "x", "parent_asin": i, "rating": float(r)}) + "\n"
            for u, i, r in WORDS
        ),
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        packed = tmp_path / f"{name}.gz"
        packed.write_bytes(gzip.compress(text.encode()))
        for path in (tmp_path / name, packed):
            _, found = read_ratings(path)
            assert found[0][:2] == WORDS[0][:2], name
    assert "item,user" in read_ratings(tmp_path / "Music.csv")[0]


def test_a_folder_with_one_file_of_ratings_is_that_file(tmp_path) -> None:
    (tmp_path / "ratings.dat").write_text(FORMS["ratings.dat"])
    (tmp_path / "users.dat").write_text("1::F::1\n")
    assert read_ratings(tmp_path)[0] == "ratings.dat"
    (tmp_path / "u.data").write_text(FORMS["u.data"])
    with pytest.raises(DataUsageError, match="2 files of ratings"):
        read_ratings(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\t2\t3\t4\n1\t2\t3\n", "line 2: 3 columns instead of 4"),
        ("1::2::3::4\n1,2,3,4\n", "line 2: 1 columns instead of 4"),
        ("1\t2\t3\t4\nx1\t2\t3\t4\n", "line 2: user id 'x1' is no whole number"),
        ("1\t2\t3\t4\n1.5\t2\t3\t4\n", "line 2: '1.5' is no user id"),
        ("1\t2\t3\t4\n1\t\t3\t4\n", "line 2: '' is no item id"),
        ("1\t2\t3\t4\nnan\t2\t3\t4\n", "line 2: 'nan' is no user id"),
        ("1\t2\tnan\t4\n", "line 1: 'nan' is no rating"),
        ("1,2,good\n", "line 1: 'good' is no rating"),
        ("userId,stars\n1,2\n", "line 1: the header names no item column"),
        ("movieId,rating\n1,2\n", "line 1: the header names no user column"),
        ("userId,movieId,rating\n", "has a header and no line below it"),
        ("hello\n", "line 1: 'hello', expected u.data"),
        ("1 2\n", "line 1: '1 2', expected u.data"),
        ("1\t2\n", "line 1: 2 columns between tabs"),
        ("", "is empty, expected u.data"),
        ('{"reviewerID": "A", "asin": "B"}\n{"reviewerID": "A"\n', "line 2: "),
        ('{"reviewerID": "A"}\n', "line 1: '' is no item id"),
        ('{"a": 1}\n[1]\n', "line 1: '' is no user id"),
        ("1\t2\t3\t4\n\0\n", "line 2: is no text"),
    ],
)
def test_what_cannot_be_read_is_named_by_file_and_line(tmp_path, text, said) -> None:
    path = tmp_path / "ratings"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_ratings(path)
    assert str(path) in caught.value.message
    assert said in caught.value.message


def test_bytes_that_are_no_text(tmp_path) -> None:
    path = tmp_path / "u.data"
    path.write_bytes(b"1\t2\t3\t4\n\xff\xfe\n")
    with pytest.raises(DataError, match="line 2: is no text"):
        read_ratings(path)


def test_a_torn_archive(tmp_path) -> None:
    path = tmp_path / "u.data.gz"
    path.write_bytes(gzip.compress(FORMS["u.data"].encode() * 500)[:-20])
    with pytest.raises(DataError, match="is damaged"):
        read_ratings(path)


def test_pickled_arrays_from_outside_are_never_loaded(tmp_path, monkeypatch) -> None:
    """By their name and by their first bytes, whatever they are called."""
    array = np.array([{"a": 1}], dtype=object)
    np.save(tmp_path / "users.npy", array)
    (tmp_path / "renamed.csv").write_bytes((tmp_path / "users.npy").read_bytes())
    monkeypatch.setattr(np, "load", None)
    for name in ("users.npy", "renamed.csv"):
        with pytest.raises(DataUsageError, match="never loaded"):
            read_ratings(tmp_path / name)


def test_no_such_file(tmp_path) -> None:
    with pytest.raises(DataUsageError, match="no such file"):
        read_ratings(tmp_path / "nothing")
