"""What changed in the tables, release by release; run by ``catalog.migrate``."""
