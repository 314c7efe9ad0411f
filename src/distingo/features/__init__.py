"""Classic descriptors: a picture as a short vector, without any training."""
