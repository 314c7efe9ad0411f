"""Which images are trained on, chosen by and tested on, and which must stay together."""
