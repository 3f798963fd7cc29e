"""Measure what work costs on this host: phases on one clock, meters, idle power, cost. No torch."""
