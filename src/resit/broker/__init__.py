"""NATS JetStream behind the ports of the broker: delivery, leases, redelivery and back-pressure.

``server`` runs the bundled nats-server as a child; ``subjects`` holds every name; ``streams`` says how streams and
consumers are made; ``link`` is one connection and the only place where errors of NATS become
:class:`~resit.ports.BrokerAway`; ``worker`` and ``control`` are the two sides of the ports.

The broker is never the only copy of anything: its store may be deleted at any time. Streams and pool consumers are
made again by whoever misses them, and their content is published again from the database.
"""
