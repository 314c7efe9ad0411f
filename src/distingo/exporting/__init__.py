"""A run's model to files that run without torch, each checked on real pictures against the original."""
