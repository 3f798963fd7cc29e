"""What a server makes of models of unlike groups of tasks: one rule a file."""
