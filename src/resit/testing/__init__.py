"""For tests, ours and third parties': values with defaults, and contracts that a store or an executor must pass."""
