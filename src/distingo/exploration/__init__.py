"""Exploration of a data set before anything is trained: colors, mean images, a map of the images."""
