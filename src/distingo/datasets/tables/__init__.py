"""Tables of labels: reading them, matching them to files, and turning them into candidates."""
