"""The commands, each in a file of its name: the options it takes, and what it does with them."""
