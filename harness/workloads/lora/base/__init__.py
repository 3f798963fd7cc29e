"""Open language models: the embedded one, and folders of others."""
