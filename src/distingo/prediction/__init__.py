"""Prediction with trained models: decoding, engines, probabilities and named predictions."""
