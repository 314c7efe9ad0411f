"""Evaluation of saved models on test splits, and comparison of runs."""
