"""A local page on which a person goes through findings and decides."""
