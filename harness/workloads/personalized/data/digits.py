"""Read the handwritten digits that are shipped with the program.

1,797 images of 8×8 with 17 grey levels: the test part of "Optical Recognition of Handwritten
Digits" (E. Alpaydin and C. Kaynak, 1998), UCI Machine Learning Repository, doi:10.24432/C50P49,
licence CC BY 4.0. `python -m harness.workloads.personalized.data.digits optdigits.tes` makes the
file from the repository's, or from scikit-learn's copy of it.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np

from harness.core.errors import DataError
from harness.workloads.personalized.data.images import Pictures, PictureSource

FILE = Path(__file__).with_name("digits.npz")
SHA256 = "b2dab7b501728c22e9119ad76740b2e17c77a231e42d1e592380d90886f1a05e"
LEVELS = 16


def digits() -> PictureSource:
    """Return the digits.

    Raises:
        DataError: if the file is missing or is not the one that was shipped.
    """
    try:
        content = FILE.read_bytes()
    except OSError as error:
        raise DataError(f"{FILE}: {error.strerror}", "Install the program anew.") from None
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise DataError(f"{FILE}: is not the file that was shipped", "Install the program anew.")
    with np.load(FILE) as stored:
        images, labels = stored["images"], stored["labels"]
    grey = (images[:, None] / np.float32(LEVELS)).astype(np.float32)
    return PictureSource("digits", Pictures(grey, labels.astype(np.int64)), tuple("0123456789"))


def make(table: Path, out: Path = FILE) -> str:
    """Write the file from rows of 64 grey levels and a label, plain or gzip; return its SHA-256."""
    text = table.read_bytes()
    text = gzip.decompress(text) if table.suffix == ".gz" else text
    rows = np.loadtxt(text.decode().splitlines(), delimiter=",").astype(np.uint8)
    np.savez_compressed(out, images=rows[:, :64].reshape(-1, 8, 8), labels=rows[:, 64])
    return hashlib.sha256(out.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(f"{FILE}: {make(Path(sys.argv[1]))}\n")
