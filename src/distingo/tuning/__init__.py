"""Search for a better recipe: search spaces, trials that survive a kill, and the result."""
