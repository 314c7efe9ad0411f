"""From images to vectors without training: descriptors, measurements, signatures."""
