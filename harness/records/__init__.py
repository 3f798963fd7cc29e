"""Hold plain records of a run, which measuring, running and the run folder share; no torch."""
