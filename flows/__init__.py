"""The stories that Prefect runs: one recording, and what is done to stores at night."""
