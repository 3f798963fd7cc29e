"""Judge recommenders: ranking, fairness, what attacks still find."""
