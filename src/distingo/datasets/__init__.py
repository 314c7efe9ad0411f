"""Read folders of images into arrays, with a manifest that accounts for every file; nothing here imports torch."""
