"""NATS JetStream behind the ports of the broker: delivery, leases, redelivery and back-pressure.

The server: ``server`` runs the bundled one as a child, ``configuration`` writes its settings, ``certificates`` its
certificate. Names: ``subjects`` holds every name, ``streams`` says how streams and consumers are made and kept. One
connection: ``address``, and ``link``, the only place where errors of NATS become :class:`~resit.ports.BrokerAway`;
``pull`` and ``standing`` take messages, ``words`` are messages that nobody stores. Workers of other machines:
``rights`` says what they may do, ``callout`` lets them in, ``connections`` ends what they have; ``nkeys`` signs,
``credentials`` are those of a control plane at a broker that somebody else runs. ``worker`` and ``control`` are the two
sides of the ports.

The broker is never the only copy of anything: its store may be deleted at any time. Control planes make what is missing
again, and its content is published again from the database.
"""
