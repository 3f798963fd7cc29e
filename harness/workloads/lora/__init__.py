"""Fine-tune one language model over many devices with low-rank adapters, and measure that."""
