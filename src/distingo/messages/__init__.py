"""Notes, which files store as codes and values, and the catalog of messages to render them for people."""
