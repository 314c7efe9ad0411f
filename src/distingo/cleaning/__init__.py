"""Findings to a tidy folder: files moved to a quarantine with a journal, and put back from it."""
