"""Federated jobs and the engine that runs them on this host."""
