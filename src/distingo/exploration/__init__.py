"""A data set looked at before anything is trained: colours, mean pictures, a map of the pictures."""
