"""Say what trained models cost when they are used: export, parity, latency, memory, joules."""
