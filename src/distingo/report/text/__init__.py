"""Summaries, formatting of numbers and names, and text drawing, shared by pages and the terminal."""
