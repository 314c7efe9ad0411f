"""Search for a better recipe: what may be searched, trials that survive a kill, and what was found."""
