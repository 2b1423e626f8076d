"""Maintenance of a store: prune, reap, doctor."""
