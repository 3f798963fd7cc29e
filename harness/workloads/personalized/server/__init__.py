"""Work of the server: likeness, groups, search, stitching and matching of blocks."""
