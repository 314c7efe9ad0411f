"""Serving: trained models behind HTTP, several requests evaluated together."""
