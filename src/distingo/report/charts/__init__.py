"""What is drawn: curves as geometry, confusion matrices, class balance, cards of labels, the map of images."""
