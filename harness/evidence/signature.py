"""Sign a bundle with an SSH key, and say whether a bundle is as it was packed and by whom.

What is signed is SHA256SUMS, which holds the checksum of every other file, so that one signature
covers all. Signing is that of OpenSSH 8.1 and later (`ssh-keygen -Y`, format SSHSIG).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.clean_text import clean
from harness.core.digests import file_digests
from harness.core.errors import DamagedRunError, MissingPackageError, StorageError, UsageError
from harness.core.guarded_folder import guard, read_bytes
from harness.evidence.findings import named

SUMS = "SHA256SUMS"
SIGNATURE = f"{SUMS}.sig"
NAMESPACE = "mas-edge-harness"
"""Keeps a signature of something else from passing as one of a bundle."""

LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")
LIMIT_S = 120.0
"""For the program that signs, which may ask for a passphrase."""


@dataclass(frozen=True)
class Verified:
    """Hold what a bundle proved: how many files agree, who signed it, and if that was asked."""

    files: int
    signer: str = ""
    known: bool = False


def sign(top: Path, key: Path) -> Path:
    """Sign the checksums of a bundle and return the file of the signature.

    Args:
        top: the bundle.
        key: private key of SSH, or a public one whose private half an agent holds.

    Raises:
        UsageError: if there is no such key, or it cannot sign.
        MissingPackageError: if OpenSSH is missing.
    """
    if not key.is_file():
        raise UsageError(f"{key}: no such key", "ssh-keygen -t ed25519 makes one.")
    target = top / SIGNATURE
    target.unlink(missing_ok=True)
    done = _run(["-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE, str(top / SUMS)])
    if done.returncode or not target.is_file():
        raise UsageError(f"{key} cannot sign: {_last(done.stderr)}", "Name a key of SSH.")
    return target


def verify(top: Path, key: Path | None = None) -> Verified:
    """Compare every file of a bundle with its checksums, and these with their signature.

    Args:
        top: the bundle.
        key: public key, or list of allowed signers, of whoever is said to have packed it.

    Raises:
        UsageError: if there is no bundle or no such key.
        DamagedRunError: if a file was changed, added or removed, or the signature is missing
            though a key is named, or is not that key's.
        MissingPackageError: if OpenSSH is missing and there is a signature to look at.
    """
    if not (top / SUMS).is_file():
        raise UsageError(f"{top}: no bundle, it has no {SUMS}", "Name a folder made by this.")
    guard(top)
    count = _compare(top)
    if not (top / SIGNATURE).is_file():
        if key is not None:
            raise DamagedRunError(f"{top}: is not signed", "Ask for a signed bundle.")
        return Verified(count)
    return Verified(count, _signer(top, key), known=key is not None)


def _compare(top: Path) -> int:
    """Compare all files with the list, and return how many there are."""
    listed: dict[str, str] = {}
    for number, line in enumerate(read_bytes(top / SUMS).decode(errors="replace").splitlines(), 1):
        found = LINE.fullmatch(line)
        if found is None:
            raise DamagedRunError(f"{top / SUMS}, line {number}: is no checksum", AGAIN)
        listed[found[2]] = found[1]
    there = {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}
    there -= {SUMS, SIGNATURE}
    digests = file_digests(top, sorted(there & set(listed)))
    wrong = {
        "changed": [name for name, digest in digests.items() if digest != listed[name]],
        "missing": sorted(set(listed) - there),
        "not in the list": sorted(there - set(listed)),
    }
    told = [f"{named([clean(n[:80]) for n in v])}: {k}" for k, v in wrong.items() if v]
    if told:
        raise DamagedRunError(f"{top}: is not as it was packed: {'; '.join(told)}", AGAIN)
    return len(listed)


AGAIN = "Get the bundle again from whoever packed it."


def _signer(top: Path, key: Path | None) -> str:
    """Return the key that signed, in the words of OpenSSH."""
    signature = ["-n", NAMESPACE, "-s", str(top / SIGNATURE)]
    signed = read_bytes(top / SUMS)
    if key is None:
        done = _run(["-Y", "check-novalidate", *signature], signed)
        if done.returncode:
            raise DamagedRunError(f"{top}: its signature is not that of its files", AGAIN)
        return _key_in(done.stdout)
    with tempfile.TemporaryDirectory(prefix="signers-") as folder:
        allowed = Path(folder) / "allowed"
        allowed.write_text(_allowed(key), "utf-8")
        found = _run(["-Y", "find-principals", "-f", str(allowed), "-s", str(top / SIGNATURE)])
        name = (found.stdout.splitlines() or [""])[0].split(",")[0]
        if not name:
            raise DamagedRunError(f"{top}: is not signed by {key}", AGAIN)
        done = _run(["-Y", "verify", "-f", str(allowed), "-I", name, *signature], signed)
    if done.returncode:
        raise DamagedRunError(f"{top}: is not signed by {key}: {_last(done.stdout)}", AGAIN)
    return _key_in(done.stdout)


def _allowed(key: Path) -> str:
    """Return a list of allowed signers: what is one, or a line made of a public key."""
    try:
        text = key.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{key}: cannot be read: {error}", "Name a public key of SSH.") from None
    if re.match(r"(ssh|ecdsa|sk)-\S+ \S+", text):
        return f'signer namespaces="{NAMESPACE}" {" ".join(text.split()[:2])}\n'
    if "PRIVATE KEY" in text:
        raise UsageError(f"{key} is a private key", f"Name the public one: {key}.pub")
    return text


def _key_in(text: str) -> str:
    """Return kind and fingerprint of the key from what OpenSSH prints."""
    found = re.search(r"with (\S+) key (SHA256:\S+)", text)
    return f"{found[1]} {found[2]}" if found else "a key"


def _run(words: Sequence[str], given: bytes = b"") -> subprocess.CompletedProcess[str]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise MissingPackageError("ssh-keygen is missing", "Install OpenSSH (openssh-client).")
    try:
        done = subprocess.run(
            [program, *words], input=given, capture_output=True, timeout=LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StorageError(f"ssh-keygen failed: {error}", "Try it in a terminal.") from None
    texts = (done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    return subprocess.CompletedProcess(done.args, done.returncode, *texts)


def _last(text: str) -> str:
    return clean((text.strip().splitlines() or ["no reason given"])[-1])
