"""For programs that do the work: track, the recorder, ``jobctl run``."""
