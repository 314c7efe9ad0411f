"""Options as fields of frozen records: each is declared once; parser, checks and documentation read it there."""
