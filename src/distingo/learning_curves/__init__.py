"""Learning curves: scores as a function of the number of training images, with forecasts for more images."""
