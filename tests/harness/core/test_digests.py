"""Digests are those of FIPS 180-4, whatever the size of a file, and nothing but files is read."""

import os

import pytest

from harness.core.digests import BLOCK_BYTES, file_digest, file_digests

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
MILLION_A = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""Published test vectors of SHA-256."""


def test_published_vectors(tmp_path) -> None:
    for name, content in (("abc", b"abc"), ("million", b"a" * 10**6), ("nothing", b"")):
        (tmp_path / name).write_bytes(content)
    found = file_digests(tmp_path, ["million", "nothing", "abc"])
    assert found == {"abc": ABC, "million": MILLION_A, "nothing": NOTHING}
    assert list(found) == ["million", "nothing", "abc"]


def test_a_file_of_many_blocks_has_the_digest_of_its_whole(tmp_path) -> None:
    """A byte changed behind the first block changes it."""
    path = tmp_path / "big"
    content = bytearray(os.urandom(3 * BLOCK_BYTES + 17))
    path.write_bytes(content)
    before = file_digest(path)
    content[-1] ^= 1
    path.write_bytes(content)
    assert file_digest(path) != before


def test_links_pipes_and_what_is_gone_have_none(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    found = file_digests(tmp_path, ["file", "link", "pipe", "gone"])
    assert found == {"file": ABC, "link": "", "pipe": "", "gone": ""}
    with pytest.raises(OSError, match="no file"):
        file_digest(tmp_path / "pipe")
