"""The stories that Prefect runs: one recording, and the inboxes' nightly reconciliation."""
