"""Resit's own HTTP API, under ``/resit/v1``."""
