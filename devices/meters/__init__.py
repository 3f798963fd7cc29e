"""Read power and energy sensors; one file per sensor family."""
