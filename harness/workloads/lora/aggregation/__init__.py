"""Make one update of the adapters of a round: stacked, averaged, redistributed."""
