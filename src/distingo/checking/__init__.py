"""Find what may be wrong with pictures: measured once, judged as often as wished."""
