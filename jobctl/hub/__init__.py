"""The hub: one replica of a store, many sessions; and its server."""

from jobctl._moved import attributes_of

__getattr__ = attributes_of("jobctl.hub", "jobctl.hub.sessions")
