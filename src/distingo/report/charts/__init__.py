"""What pages draw: curves, confusion matrices, class balance, cards of labels, the map of images."""
