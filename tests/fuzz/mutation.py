"""Change bytes as files are damaged and as strangers bend them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

ODD_NUMBERS = (
    b"nan", b"NaN", b"-inf", b"Infinity", b"1e309", b"-1e400", b"1e-400", b"-0", b"-1", b"", b"0",
    b"1_000", b"1,5", b"0x10", b"\xef\xbc\x91\xef\xbc\x92", b"9" * 40, b"-" + b"9" * 25, b"1.",
    b".5", b"+5", b"5e", b"1e999999999", b"true", b"null", b'"12"', b"18446744073709551616",
)  # fmt: skip
ODD_TEXTS = (
    b"\x00", b"\xff\xfe", b"\n\n", b"\r\n", b'"', b"\\", b",,,,", b"{", b"}", b"[" * 300, b"../../",
    b"\x1b[2J", "\u202e".encode(), "é".encode("latin-1"), b"=cmd()", b"%n%s", b"\t", b"\xf0\x9f",
)  # fmt: skip
NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
MOST_CHANGES = 4

Mutator = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return one of some sound inputs with one to four changes; the same for the same generator."""
    content = rng.choice(seeds)
    for _ in range(rng.randint(1, MOST_CHANGES)):
        content = rng.choice(MUTATORS)(rng, content, seeds)
    return content


def _number(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    found = [match.span() for match in NUMBER.finditer(content)]
    if not found:
        return content
    first, last = rng.choice(found)
    return content[:first] + rng.choice(ODD_NUMBERS) + content[last:]


def _digit(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    places = [n for n, byte in enumerate(content) if 48 <= byte <= 57]
    if not places:
        return content
    at = rng.choice(places)
    return content[:at] + str(rng.randrange(10)).encode() + content[at + 1 :]


def _flip(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    if not content:
        return content
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _insert(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(content))
    return content[:at] + rng.choice((*ODD_TEXTS, *ODD_NUMBERS)) + content[at:]


def _delete(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    first, last = _span(rng, content)
    return content[:first] + content[last:]


def _repeat(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    first, last = _span(rng, content)
    return content[:last] + content[first:last] * rng.randint(1, 3) + content[last:]


def _cut(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    return content[: rng.randint(0, len(content))]


def _swap(rng: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    lines = content.split(b"\n")
    if len(lines) < 3:
        return content
    one, other = rng.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _splice(rng: random.Random, content: bytes, seeds: Sequence[bytes]) -> bytes:
    other = rng.choice(seeds)
    return content[: rng.randint(0, len(content))] + other[rng.randint(0, len(other)) :]


def _span(rng: random.Random, content: bytes) -> tuple[int, int]:
    first = rng.randint(0, len(content))
    return first, min(len(content), first + rng.randint(1, 40))


MUTATORS: tuple[Mutator, ...] = (
    _number, _number, _digit, _flip, _insert, _delete, _repeat, _cut, _swap, _splice,
)  # fmt: skip
