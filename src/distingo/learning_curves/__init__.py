"""Learning curves: how scores grow with the number of training pictures, and how they would with more."""
