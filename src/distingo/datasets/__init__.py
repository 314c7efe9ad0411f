"""Folders of pictures in, arrays and an account of every file out; nothing here imports torch."""
