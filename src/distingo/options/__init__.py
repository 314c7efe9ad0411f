"""Options as fields of frozen records: the single source for the parser, the checks and the documentation."""
