"""The commands, in groups; `deployments.cli` puts them together."""
