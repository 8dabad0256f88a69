from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from deployments.prefect_server import take_turns


@pytest.fixture
def taking_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    # Put back after the test, whatever `take_turns` does to it.
    monkeypatch.setattr(AioSqliteConfiguration, "begin_transaction", AioSqliteConfiguration.begin_transaction)
    take_turns()
    take_turns()


async def count_together(folder: Path, n_writers: int) -> int:
    """Let writers read a number and write it back one larger, at the same time, and return what it comes to."""
    database = AioSqliteConfiguration(f"sqlite+aiosqlite:///{folder / 'prefect.db'}")
    engine = await database.engine()
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE counter AS SELECT 0 AS n"))

    async def add_one() -> None:
        async with await database.session(engine) as session, database.begin_transaction(session):
            n = await session.scalar(text("SELECT n FROM counter"))
            # All have read before the first one writes, where nothing holds them back.
            await asyncio.sleep(0.01)
            await session.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})

    await asyncio.gather(*(add_one() for _ in range(n_writers)))
    async with engine.connect() as connection:
        n = int((await connection.execute(text("SELECT n FROM counter"))).scalar_one())
    await engine.dispose()
    return n


@pytest.mark.usefixtures("taking_turns")
def test_transactions_that_read_and_then_write_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    assert asyncio.run(count_together(tmp_path, 8)) == 8


def test_prefects_own_transactions_fail_at_that(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="database is locked"):
        asyncio.run(count_together(tmp_path, 8))
