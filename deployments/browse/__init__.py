"""The catalogue in a browser: read only, by Datasette."""
