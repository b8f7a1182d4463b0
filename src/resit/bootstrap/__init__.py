"""The only place where real things are chosen and joined: ``server`` for control planes, ``worker`` for workers."""
