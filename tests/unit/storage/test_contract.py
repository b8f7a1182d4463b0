"""The SQL store keeps the contract of stores, over both databases."""

import pytest
from sqlalchemy import Engine

from resit.storage.reads import SqlReads
from resit.storage.unit_of_work import SqlStore
from resit.testing.stores import StoreContract
from resit.testing.world import empty

BOTH_DATABASES = True


class TestSql(StoreContract):
    @pytest.fixture
    def store(self, engine: Engine) -> SqlStore:
        empty(engine)
        return SqlStore(engine)

    @pytest.fixture
    def reads(self, engine: Engine) -> SqlReads:
        return SqlReads(engine)
