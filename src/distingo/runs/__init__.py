"""The run directory: one module for each file in it, with its record, its writer and its reader."""
