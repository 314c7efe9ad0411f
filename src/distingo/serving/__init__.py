"""Serving: trained models behind HTTP, several requests judged together."""
