"""Evaluation: a saved model and the untouched test split to an `Evaluation`."""
