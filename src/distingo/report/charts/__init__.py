"""Charts of pages as geometry: curves, confusion matrices, class balance, label cards, the image map."""
