"""Bytes to images as a viewer shows them: formats, pixels, value ranges, arrays of a fixed size."""
