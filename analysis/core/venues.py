"""How wide a column is where the figure will be printed; needs no plotting package."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.errors import unknown

VENUE_WIDTHS_IN: Mapping[str, float] = {
    "ieee": 3.5,  # one column of IEEEtran
    "ieee-wide": 7.16,  # both columns of IEEEtran
    "icml": 3.25,  # one column
    "icml-wide": 6.75,  # both columns
    "cvpr": 3.25,  # one column
    "cvpr-wide": 6.875,  # both columns
    "neurips": 5.5,  # text width
    "iclr": 5.5,  # text width
    "acm": 3.33,  # one column of acmart, sigconf
    "acm-wide": 7.0,  # both columns
}


def venue_width_in(venue: str) -> float:
    """Return the width of a venue's column in inches.

    Raises:
        UnknownNameError: if the venue is unknown, naming the known ones.
    """
    if venue not in VENUE_WIDTHS_IN:
        raise unknown("venue", venue, VENUE_WIDTHS_IN)
    return VENUE_WIDTHS_IN[venue]
