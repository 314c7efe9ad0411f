"""Explanation: what speaks for a class in one picture, whether that means something, and what the picture is like."""
