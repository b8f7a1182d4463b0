"""The world beyond database and broker: clock, ids, keys, stored files, uploads."""
