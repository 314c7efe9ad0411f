"""Downloads of images and data sets, with limits per host, atomic writes and a record of every file."""
