"""The Python API, with one function per command; torch is imported when a function is called, not before."""
