"""One module for each file that a user opens: HTML pages, model cards, PNG sheets."""
