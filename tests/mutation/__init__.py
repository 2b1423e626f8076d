"""Seeded faults, each of which a named test must find. Not part of the plain test run."""
