"""Cache on disk for what is computed from images, keyed by their content."""
