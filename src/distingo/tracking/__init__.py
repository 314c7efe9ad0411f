"""Tracking of runs in TensorBoard and MLflow: parameters, curves, scores, plots and the model."""
