"""Tables and figures of programs of one's own: commands, and sessions of `Measurement`."""
