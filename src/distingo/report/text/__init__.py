"""Sentences, numbers, names and letters that pages and the terminal share."""
