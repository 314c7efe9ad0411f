"""Compute vectors from images without training: descriptors, measurements, signatures."""
