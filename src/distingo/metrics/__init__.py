"""Pure scores on arrays: what probabilities are worth, each score with a 95 % interval."""
