"""Tasks, networks with one encoder and one decoder per task, and what their work costs."""
