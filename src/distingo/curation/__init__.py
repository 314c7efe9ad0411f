"""Data set curation: checks, findings, cleaning plans and the quarantine."""
