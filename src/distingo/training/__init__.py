"""Training: recipe, preparation, loop, heads on frozen features, classic models, calibration."""
