"""Exchange rates from a feed that closes the connection of whoever calls it first."""


class RateFeed:
    """A stand-in for a real feed, with its habit."""

    def __init__(self) -> None:
        self._connected = False

    def rate(self, currency: str) -> float:
        if not self._connected:
            self._connected = True
            raise ConnectionResetError("the rate feed closed the connection")
        return {"USD": 1.08, "CHF": 0.94}[currency]
