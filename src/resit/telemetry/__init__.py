"""What every line of a log can say of itself: which run, shard, attempt and request it is about.

The lowest room, of the standard library alone, so that any other may say what it works on (:func:`bound`,
:func:`bind`) and none has to hand a logger around. ``logs`` writes lines, ``secrets`` keeps what must not stand in
them, ``requests`` is what is known of the HTTP request that is being answered. docs/adr/0016-telemetry.md says why.
"""

from resit.telemetry.context import FIELDS, bind, bound, fields
from resit.telemetry.secrets import know, masked

__all__ = ["FIELDS", "bind", "bound", "fields", "know", "masked"]
