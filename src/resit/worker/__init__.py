"""The worker: takes jobs of its pool, prepares workspaces, drives executors and reports what happens.

It sees the world through the ports and the executor protocol only: no database, no HTTP, no broker by name.
"""
