"""Prediction: images to batches, batches to probabilities, probabilities to named predictions."""
