"""Map where merge-and-split pays: points around the default, their runs, one table, one figure."""
