"""Train personalised models: unlike networks on unlike devices, and teachers of their blocks."""
