"""Write words into a picture with letters of 5 × 7 pixels, so that none but NumPy is needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

WIDE, TALL, STEP = 5, 8, 6
"""Pixels of a letter with what hangs below the line, and from one letter to the next."""

_COLUMNS = (
    "a 2054545478 b 7f48444438 c 3844444420 d 384444487f e 3854545418 f 087e090102 g 18a4a4a47c "
    "h 7f08040478 i 00447d4000 j 4080847d00 k 7f10284400 l 00417f4000 m 7c04180478 n 7c08040478 "
    "o 3844444438 p fc24242418 q 18242418fc r 7c08040408 s 4854545420 t 043f444020 u 3c4040207c "
    "v 1c2040201c w 3c4030403c x 4428102844 y 1ca0a0a07c z 4464544c44 2 4261514946 3 2141454b31 "
    "D 7f4141221c"
)
"""Each letter by its columns from the left, two hexadecimal digits each, the lowest bit on top."""

_LETTERS = dict(zip(_COLUMNS.split()[::2], _COLUMNS.split()[1::2], strict=True))


def letters(text: str) -> npt.NDArray[np.bool_]:
    """Return a text as lit pixels, shape (8, 6 · letters); what has no letter is a blank."""
    shown = np.zeros((TALL, STEP * len(text)), np.bool_)
    for place, letter in enumerate(text):
        columns = np.frombuffer(bytes.fromhex(_LETTERS.get(letter, "00" * WIDE)), np.uint8)
        bits = (columns[None, :] >> np.arange(TALL, dtype=np.uint8)[:, None]) & 1
        shown[:, STEP * place : STEP * place + WIDE] = bits.astype(np.bool_)
    return shown


def longest_that_fits(texts: Sequence[str], width: int) -> str:
    """Return the first of some texts, the fullest first, that so many pixels hold; else none."""
    return next((text for text in texts if STEP * len(text) <= width), "")
