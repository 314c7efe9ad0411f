"""A set's own files to class folders: one file per way in which sets are laid out."""
