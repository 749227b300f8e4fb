"""What the release server must not forget, in a database: SQLite in a file, or PostgreSQL.

One transaction a change: orders with their tasks, environments, versions, and the line of the audit log that says who did it
and why. So a process that is killed at any moment leaves either the state before a change or the one after it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import GatewayError
from gateway.release.order import Order
from gateway.release.states import ENDED

T = TypeVar("T")

_metadata = sa.MetaData()
_orders = sa.Table(
    "release_orders",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False, index=True),
    sa.Column("body", sa.Text, nullable=False),
)
_environments = sa.Table(
    "release_environments",
    _metadata,
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
)
_versions = sa.Table(
    "release_versions",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("environment", sa.String(63), nullable=False),
    sa.Column("application", sa.String(63), nullable=False),
    sa.Column("order_id", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
_audit = sa.Table(
    "release_audit",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("order_id", sa.Integer, nullable=True),
    sa.Column("body", sa.Text, nullable=False),
)


class StoreError(GatewayError):
    """The database does not do what it is asked: it is away, full, or not to be written to."""


class Overtaken(StoreError):
    """An order was changed by another release server meanwhile."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the audit log."""

    actor: str
    action: str
    """`order.run`, `order.stop`, `task.approve`, `environment.lock`, …"""
    subject: str
    reason: str
    at: float
    order: int | None = None
    id: int = 0

    def body(self) -> dict[str, Any]:
        """What is shown of it."""
        return {
            "id": self.id, "at": self.at, "actor": self.actor, "action": self.action, "subject": self.subject,
            "reason": self.reason, "order": self.order,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A version that ran, or runs, in an environment. `version` None: everything was removed."""

    environment: str
    application: str
    order: int
    version: str | None
    images: dict[str, str]
    commands: dict[str, list[str]]
    manifest: str
    actor: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Hold:
    """An environment as it is: its state, and who has locked it."""

    name: str
    state: str = "NEW"
    locked_by: str = ""
    locked_why: str = ""
    locked_at: float = 0.0

    def body(self) -> dict[str, Any]:
        """Plain values."""
        locked = {"by": self.locked_by, "reason": self.locked_why, "at": self.locked_at}
        return {"state": self.state, "lock": locked if self.locked_by else None}


@dataclass(slots=True)
class Change:
    """What is written at once."""

    orders: list[Order] = field(default_factory=list)
    environments: list[Hold] = field(default_factory=list)
    versions: list[VersionRecord] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    """Environments whose state and versions go."""
    audit: list[Line] = field(default_factory=list)


class Store:
    """The database, used by one thread. `url` is PostgreSQL's; None: a file `release.db` in `folder`."""

    synchronous = "FULL"
    """What SQLite waits for at the end of a transaction: for the disk."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self._folder = folder
        self._url = url
        self.generation = 0
        """Counts the changes of versions, by this server."""
        self._thread = ThreadPoolExecutor(1, "release-store")
        self._engine: sa.Engine | None = None

    async def open(self) -> None:
        """Makes the tables that there are not yet. Raises StoreError."""
        await self._run(self._open)

    async def close(self) -> None:
        """Closes; what is being written is written."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def active_orders(self) -> list[Order]:
        """Every order that has not ended, the oldest first. Raises StoreError."""
        query = sa.select(_orders).where(_orders.c.is_active).order_by(_orders.c.id)
        return [_order_of(row) for row in await self._rows(query)]

    async def orders(self, count: int) -> list[Order]:
        """The newest orders, the newest first. Raises StoreError."""
        query = sa.select(_orders).order_by(_orders.c.id.desc()).limit(count)
        return [_order_of(row) for row in await self._rows(query)]

    async def order(self, number: int) -> Order | None:
        """One order. Raises StoreError."""
        rows = await self._rows(sa.select(_orders).where(_orders.c.id == number))
        return _order_of(rows[0]) if rows else None

    async def holds(self) -> dict[str, Hold]:
        """The environments that something was done to. Raises StoreError."""
        return {row.name: Hold(**json.loads(row.body)) for row in await self._rows(sa.select(_environments))}

    async def versions(self, environment: str | None = None, application: str | None = None) -> list[VersionRecord]:
        """What ran, the newest first. Raises StoreError."""
        query = sa.select(_versions).order_by(_versions.c.id.desc()).limit(1000)
        if environment is not None:
            query = query.where(_versions.c.environment == environment)
        if application is not None:
            query = query.where(_versions.c.application == application)
        return [VersionRecord(**json.loads(row.body)) for row in await self._rows(query)]

    async def newest_versions(self, besides: int | None = None) -> list[VersionRecord]:
        """The newest version of each application in each environment, whatever one order did. Raises StoreError."""
        newest = sa.select(sa.func.max(_versions.c.id)).group_by(_versions.c.environment, _versions.c.application)
        if besides is not None:
            newest = newest.where(_versions.c.order_id != besides)
        query = sa.select(_versions).where(_versions.c.id.in_(newest))
        return [VersionRecord(**json.loads(row.body)) for row in await self._rows(query)]

    async def last_line(self) -> int:
        """The number of the newest line of the audit log; 0: there is none. Raises StoreError."""
        [row] = await self._rows(sa.select(sa.func.max(_audit.c.id)))
        return row[0] or 0

    async def audit(self, after: int = 0, count: int = 1000, order: int | None = None) -> list[Line]:
        """Lines of the audit log after a number, the oldest first. Raises StoreError."""
        query = sa.select(_audit).where(_audit.c.id > after).order_by(_audit.c.id).limit(count)
        if order is not None:
            query = query.where(_audit.c.order_id == order)
        return [Line(**(json.loads(row.body) | {"id": row.id})) for row in await self._rows(query)]

    async def write(self, change: Change) -> None:
        """Writes everything, or nothing. Orders get their number and their new revision. Raises StoreError."""

        def work() -> None:
            assert self._engine is not None
            with self._engine.begin() as connection:
                numbers = [_write_order(connection, order) for order in change.orders]
                _write_rest(connection, change, numbers[0] if numbers else None)
            # Only now it is so.
            for order, number in zip(change.orders, numbers, strict=True):
                order.id, order.revision = number, order.revision + 1
            self.generation += bool(change.versions or change.forgotten)

        await self._run(work)

    async def _rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        def work() -> Sequence[Any]:
            assert self._engine is not None
            with self._engine.connect() as connection:
                return connection.execute(query).fetchall()

        return await self._run(work)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (SQLAlchemyError, OSError) as error:
            reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            raise StoreError(f"the database of the release server: {reason}") from error

    def _open(self) -> None:
        if self._url is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._engine = sa.create_engine(f"sqlite:///{self._folder / 'release.db'}")
            sa.event.listen(self._engine, "connect", self._set_up_sqlite)
        else:
            url = self._url.replace("postgresql://", "postgresql+psycopg://", 1)
            self._engine = sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5})
        _metadata.create_all(self._engine)

    def _set_up_sqlite(self, connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={self.synchronous}")
        cursor.execute("PRAGMA busy_timeout=5000")
        cursor.close()

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()


def _order_of(row: Any) -> Order:
    order = Order.model_validate_json(row.body)
    order.id, order.revision = row.id, row.revision
    return order


def _write_order(connection: sa.Connection, order: Order) -> int:
    values = {
        "revision": order.revision + 1,
        "is_active": order.state not in ENDED,
        "body": order.model_dump_json(exclude={"id", "revision"}),
    }
    if not order.id:
        result = connection.execute(sa.insert(_orders).values(**values).returning(_orders.c.id))
        return int(result.scalar_one())
    table = sa.update(_orders).where(_orders.c.id == order.id, _orders.c.revision == order.revision).values(**values)
    if connection.execute(table).rowcount != 1:
        raise Overtaken(f"order {order.id} was changed by another release server: only one may use this database")
    return order.id


def _write_rest(connection: sa.Connection, change: Change, number: int | None) -> None:
    for name in change.forgotten:
        connection.execute(sa.delete(_environments).where(_environments.c.name == name))
        connection.execute(sa.delete(_versions).where(_versions.c.environment == name))
    for hold in change.environments:
        body = json.dumps({name: getattr(hold, name) for name in Hold.__slots__})
        connection.execute(sa.delete(_environments).where(_environments.c.name == hold.name))
        connection.execute(sa.insert(_environments).values(name=hold.name, body=body))
    for record in change.versions:
        same = (
            (_versions.c.environment == record.environment)
            & (_versions.c.application == record.application)
            & (_versions.c.order_id == record.order)
        )
        body = json.dumps({name: getattr(record, name) for name in VersionRecord.__slots__})
        connection.execute(sa.delete(_versions).where(same))
        connection.execute(
            sa.insert(_versions).values(
                environment=record.environment, application=record.application, order_id=record.order, body=body
            )
        )
    for line in change.audit:
        order = line.order or number
        body = json.dumps({name: getattr(line, name) for name in Line.__slots__ if name != "id"} | {"order": order})
        connection.execute(sa.insert(_audit).values(at=line.at, order_id=order, body=body))
