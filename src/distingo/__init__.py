"""distingo: from a folder of pictures to an image classifier that can be trusted and put to work."""

from __future__ import annotations

__version__ = "0.1.0"
