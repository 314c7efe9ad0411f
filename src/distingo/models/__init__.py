"""Models: networks, pretrained backbones, heads and classic models, a catalogue of their names, and saved models."""
