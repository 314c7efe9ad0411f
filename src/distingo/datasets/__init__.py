"""Folders of images in, arrays and an account of every file out; nothing here imports torch."""
