"""Readers of a hub or a store: client, follow, wait, one read."""
