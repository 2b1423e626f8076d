"""The hub: sans-I/O sessions on a replica of the store, and the server around them."""

from jobctl._moved import attributes_of

__getattr__ = attributes_of("jobctl.hub", "jobctl.hub.sessions")
