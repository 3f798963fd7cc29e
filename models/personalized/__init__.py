"""Networks of unlike families as chains of blocks, and what joins blocks of different nets."""
