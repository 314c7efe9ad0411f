"""Prediction: what a model looks at, image batches to tensors, probabilities to named predictions."""
