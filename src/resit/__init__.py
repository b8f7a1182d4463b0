"""Resit: a self-hosted test-run service."""

from importlib.metadata import version

__version__ = version("resit")
