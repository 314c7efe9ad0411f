"""HTML pages about runs and data sets: one self-contained file each."""
