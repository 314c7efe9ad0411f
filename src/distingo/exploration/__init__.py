"""Exploration of a data set before training: colors, mean images and a map of the images."""
