"""What the report of any workload is made of: reading, pooling, numbers, tables, figures, page."""
