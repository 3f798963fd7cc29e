"""Methods: each a schedule of federated jobs in one file, and the split search they share."""
