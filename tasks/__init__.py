"""One Prefect task for each step of the core, under the same verb: retries, run names, states in the UI."""
