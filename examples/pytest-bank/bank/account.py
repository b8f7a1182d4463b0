"""Accounts: money goes in and out, and never below the limit."""

from dataclasses import dataclass, field


class Overdrawn(Exception):
    """The limit does not allow it."""


@dataclass
class Account:
    """Amounts are whole cents."""

    owner: str
    limit: int = 0
    balance: int = 0
    bookings: list[int] = field(default_factory=list)

    def book(self, amount: int) -> None:
        if self.balance + amount < -self.limit:
            raise Overdrawn(f"{self.owner}: {self.balance + amount} cents is below the limit of -{self.limit}")
        self.balance += amount
        self.bookings.append(amount)


def transfer(source: Account, target: Account, amount: int) -> None:
    if amount <= 0:
        raise ValueError(f"{amount} cents can't be transferred")
    source.book(-amount)
    target.book(amount)
