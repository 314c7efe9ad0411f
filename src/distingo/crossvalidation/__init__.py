"""Cross-validation: every image is evaluated by a model that was not trained or validated on it."""
