"""Models: networks, pretrained backbones, heads and classic models, a catalog of their names, and saved models."""
