"""A run's model as files that run without torch, each compared with the original on real images."""
