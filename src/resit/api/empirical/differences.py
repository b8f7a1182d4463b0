"""What of Empirical's API is not there, and what is there and behaves in another way.

Each entry is a path or a subject, and what happens instead. ``docs/dialects/empirical.md`` shows both lists; a test
holds them together.
"""

NOT_SUPPORTED: tuple[tuple[str, str], ...] = ()
DIFFERENCES: tuple[tuple[str, str], ...] = ()
