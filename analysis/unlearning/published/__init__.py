"""Numbers that other people published, with their source in the first line of each file."""
