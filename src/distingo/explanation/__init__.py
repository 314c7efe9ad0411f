"""Explanations: which parts of an image speak for a class, whether that means anything, similar images."""
