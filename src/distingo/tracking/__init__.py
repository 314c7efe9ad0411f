"""A run's parameters, curves, scores, plots and model where people already look: TensorBoard, MLflow."""
