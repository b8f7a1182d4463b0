"""Loading a program quickly."""

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def loading() -> Generator[None]:
    """No collection of garbage while much is made that stays; and later ones pass over what was made.

    What models of requests are made of is walked through again and again else: a server was ready after 1.55 s of work
    with this, and 2.2 s without (Python 3.11, FastAPI's 195 routes).
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was:
            gc.enable()
