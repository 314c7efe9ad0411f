"""Scores computed from arrays, each with a 95 % confidence interval."""
