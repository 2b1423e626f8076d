"""For those who do the work: track, the recorder, ``jobctl run``."""
