"""Learning curves: how scores grow with the number of training images, and a forecast for more."""
