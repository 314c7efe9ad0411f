"""Explanations of predictions: heat maps, their validation, and similar training images."""
