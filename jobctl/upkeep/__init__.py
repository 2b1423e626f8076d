"""Care of a store: prune, reap, doctor."""
