"""Readers of a store or a hub: client, follow, wait, one read."""
