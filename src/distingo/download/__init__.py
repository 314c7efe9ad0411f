"""Download images and data sets: politely, whole or not at all, with a record of every file."""
