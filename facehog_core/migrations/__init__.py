"""How the tables of earlier catalogues become those of this one, step by step (Alembic)."""
