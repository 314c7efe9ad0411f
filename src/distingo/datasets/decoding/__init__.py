"""Decode files to images as viewers display them: formats, pixels, value ranges, arrays of a fixed size."""
