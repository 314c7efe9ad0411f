"""Runs as a service: HTTP, the page on which a person drops pictures, and the corrections that come back."""
