"""One module for each file that a person opens: HTML pages, model cards, PNG sheets."""
