"""Tables of labels: read, matched to files, and turned into candidates."""
