"""A signed bundle says who packed it; a changed one, or one of somebody else, is refused."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.cli.pack import main
from harness.core.errors import DamagedRunError, UsageError
from harness.evidence.bundle import checksums
from harness.evidence.signature import SIGNATURE, SUMS, sign, verify

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is missing")


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ada", "mallory"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name]
        subprocess.run(words, check=True)
    return {name: folder / name for name in ("ada", "mallory")}


@pytest.fixture
def bundle(tmp_path) -> Path:
    top = tmp_path / "bundle"
    (top / "data").mkdir(parents=True)
    (top / "data" / "cells.csv").write_text("a,b\n")
    (top / "README.md").write_text("read me\n")
    (top / SUMS).write_text(checksums(top))
    return top


def public(key: Path) -> Path:
    return key.with_suffix(".pub")


def test_a_signature_is_that_of_the_key_named(bundle, keys, capsys) -> None:
    sign(bundle, keys["ada"])
    found = verify(bundle, public(keys["ada"]))
    assert (found.files, found.known) == (2, True)
    assert found.signer.startswith("ED25519 SHA256:")
    unknown = verify(bundle)
    assert (unknown.signer, unknown.known) == (found.signer, False)
    with pytest.raises(DamagedRunError, match="is not signed by"):
        verify(bundle, public(keys["mallory"]))
    assert main(["--verify", str(bundle), "--key", str(public(keys["ada"]))]) == 0
    assert "Signed by the key named: ED25519 SHA256:" in capsys.readouterr().out


def test_a_list_of_allowed_signers_is_a_key_too(bundle, keys, tmp_path) -> None:
    sign(bundle, keys["ada"])
    allowed = tmp_path / "allowed"
    allowed.write_text(f"ada@example.org {public(keys['ada']).read_text()}")
    assert verify(bundle, allowed).known


def test_without_a_signature_only_checksums_speak(bundle, keys, capsys) -> None:
    assert verify(bundle).signer == ""
    assert main(["--verify", str(bundle)]) == 0
    assert "It is not signed" in capsys.readouterr().out
    with pytest.raises(DamagedRunError, match="is not signed"):
        verify(bundle, public(keys["ada"]))


@pytest.mark.parametrize("how", ["changed", "missing", "added"])
def test_every_change_of_a_file_is_seen(how, bundle) -> None:
    if how == "changed":
        (bundle / "README.md").write_text("read mE\n")
    elif how == "missing":
        (bundle / "README.md").unlink()
    else:
        (bundle / "data" / "pandas.py").write_text("print('mine')")
    with pytest.raises(DamagedRunError, match="not as it was packed"):
        verify(bundle)


def test_a_change_with_new_checksums_breaks_the_signature(bundle, keys) -> None:
    """The very thing checksums alone cannot see."""
    sign(bundle, keys["ada"])
    (bundle / "data" / "cells.csv").write_text("a,c\n")
    digest = hashlib.sha256(b"a,c\n").hexdigest()
    lines = (bundle / SUMS).read_text().splitlines()
    changed = [f"{digest}  data/cells.csv" if "cells" in line else line for line in lines]
    (bundle / SUMS).write_text("\n".join(changed) + "\n")
    for key in (None, public(keys["ada"])):
        with pytest.raises(DamagedRunError):
            verify(bundle, key)


def test_a_signature_for_another_purpose_is_none_of_a_bundle(bundle, keys) -> None:
    words = ["ssh-keygen", "-Y", "sign", "-q", "-f", keys["ada"], "-n", "file", bundle / SUMS]
    subprocess.run(words, check=True)
    assert (bundle / SIGNATURE).is_file()
    for key in (None, public(keys["ada"])):
        with pytest.raises(DamagedRunError):
            verify(bundle, key)


def test_wrong_keys_end_in_words(bundle, keys, tmp_path) -> None:
    (tmp_path / "text").write_text("no key")
    with pytest.raises(UsageError, match="no such key"):
        sign(bundle, tmp_path / "none")
    with pytest.raises(UsageError, match="cannot sign"):
        sign(bundle, tmp_path / "text")
    sign(bundle, keys["ada"])
    with pytest.raises(UsageError, match="private key"):
        verify(bundle, keys["ada"])


@pytest.mark.parametrize(
    "words",
    [
        ["--verify", "x", "run"], ["--verify", "x", "--sign", "k"], ["run", "--out", "o", "--key",
         "k"], ["--out", "o"], ["run"], ["--verify", "nothing-there"],
    ],
)  # fmt: skip
def test_wrong_use_ends_with_2(words) -> None:
    assert main(words) == 2
