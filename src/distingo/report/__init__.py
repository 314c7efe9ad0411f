"""Runs and data sets as pages: one self-contained HTML file each."""
