"""Training: the recipe, the loop, augmentation, checkpoints."""
