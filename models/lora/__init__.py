"""Networks of language models whose layers can wear low-rank adapters."""
