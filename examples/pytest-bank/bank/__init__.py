"""A small bank."""
