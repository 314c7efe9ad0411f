"""Export of a run's model to files that run without torch, compared with the original on real images."""
