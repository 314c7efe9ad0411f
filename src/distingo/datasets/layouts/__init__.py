"""Detect the layout of a folder, and which of its files are images of which class."""
