"""The directory store: one JSON file per job, a change log for the order, a bell."""

from jobctl._moved import attributes_of

__getattr__ = attributes_of("jobctl.stores.directory", "jobctl.stores.directory.store")
