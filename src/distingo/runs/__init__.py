"""The files of a run folder, with one module per file: its record, its writer and its reader."""
