"""Models: one file per architecture family, a catalogue of their names, and the self-describing saved model."""
