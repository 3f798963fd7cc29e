"""Networks of many tasks: a shared encoder, a decoder per task, their losses and measures."""
