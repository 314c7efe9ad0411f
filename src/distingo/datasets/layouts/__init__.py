"""Which layout a folder has, and which of its files are images of which class."""
