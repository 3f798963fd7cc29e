"""Addresses and names of processors are taken out of texts; what only looks like them is kept."""

from pathlib import Path

import pytest

from harness.evidence.private import rules, veil

KNOWN = rules(Path("/srv/ada"), "lab-bench-7", Path("/nowhere"))


@pytest.mark.parametrize(
    ("text", "veiled"),
    [
        ("from 192.168.1.20:8443", "from (address):8443"),
        ("at 10.0.0.7, then", "at (address), then"),
        ("fe80::1ff:fe23:4567:890a joined", "(address) joined"),
        ("2001:db8:0:0:0:0:2:1", "(address)"),
        ("GPU-5e7c1b2a-11d2-aa00-b0c1-90aa0c0ffee0 is lost", "GPU-(withheld) is lost"),
        ("MIG-5e7c1b2a-11d2-aa00", "GPU-(withheld)"),
        ("/mnt/ada/x", "/mnt/(user)/x"),
        ("/srv/ada/x", "~/x"),
    ],
)
def test_what_names_a_network_or_a_card_is_taken_out(text: str, veiled: str) -> None:
    assert veil(text, KNOWN)[0] == veiled


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1 and ::1 are this machine", "0.0.0.0:8080", "version 1.2.3.4.5", "1.2.3 seconds",
        "999.1.2.3", "12:34:56", "torch 2.13.0", "GPU-bound", "ada-lovelace", "std::cout",
        "sums 5e7c1b2a11d2", "/srv/adam/x",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_kept(text: str) -> None:
    assert veil(text, KNOWN) == (text, [])
