"""The stores and certificates of the tests on real sockets."""

from __future__ import annotations

from tests.hub.conftest import certificate, directory, served, writer

__all__ = ["certificate", "directory", "served", "writer"]
