"""Find what may be wrong with images, and act on it: checks, findings, plans and the quarantine."""
