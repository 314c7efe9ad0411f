"""The sources of ``distingo download``, one thin file each, named like them."""
