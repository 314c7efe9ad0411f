"""A local web page for reviewing the findings of a check and deciding about them."""
