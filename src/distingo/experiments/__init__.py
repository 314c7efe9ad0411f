"""Experiments of many trainings: cross-validation, learning curves with forecasts, and the search for a recipe."""
