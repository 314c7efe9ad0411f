"""Prediction: image batches to tensors to probabilities."""
