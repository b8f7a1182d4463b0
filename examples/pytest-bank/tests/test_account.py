import pytest

from bank.account import Account, Overdrawn, transfer


@pytest.mark.smoke
def test_a_transfer_moves_money():
    ada, bob = Account("Ada", balance=10_000), Account("Bob")
    transfer(ada, bob, 2_500)
    assert (ada.balance, bob.balance) == (7_500, 2_500)


def test_the_limit_holds():
    with pytest.raises(Overdrawn, match="below the limit"):
        Account("Ada", limit=500).book(-501)


def test_a_refused_transfer_moves_nothing():
    ada, bob = Account("Ada", balance=100), Account("Bob")
    with pytest.raises(Overdrawn):
        transfer(ada, bob, 101)
    assert (ada.bookings, bob.bookings) == ([], [])


@pytest.mark.parametrize("amount", [0, -1])
def test_only_a_positive_amount_is_transferred(amount):
    with pytest.raises(ValueError, match="can't be transferred"):
        transfer(Account("Ada"), Account("Bob"), amount)


@pytest.mark.skip(reason="instant payments are not built yet")
def test_an_instant_payment_arrives_at_once():
    raise NotImplementedError
