"""The tables of a report: one object for all of them, its formats, and one file per table."""
