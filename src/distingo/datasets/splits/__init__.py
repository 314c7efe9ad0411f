"""Divide images into train, validation and test splits or folds, and group those that must stay together."""
