"""A table of jobs on a terminal: order, columns and rows. Pure functions and values."""
