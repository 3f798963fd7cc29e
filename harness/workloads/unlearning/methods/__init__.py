"""Methods that forget users, each a schedule of jobs."""
