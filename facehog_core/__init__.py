"""facehog."""
