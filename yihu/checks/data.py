"""The database, and what waits in it to be delivered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from core.db import Database
from core.outbox import OutboxRow
from core.settings import Settings
from yihu import migrate
from yihu.checks import Finding, Level, Wrong, restart

LATE = timedelta(minutes=2)  # a message that has waited so long means that its receiver is down


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    db = Database(settings.db_url, pool_size=1)
    try:
        yield db
    finally:
        db.close()


def database(settings: Settings) -> Finding:
    """It answers, takes the write lock, and has the shape that this program expects."""
    if not settings.database_url and not (settings.home / "yihu.db").is_file():
        raise Wrong("数据库尚未建立", "执行：bin/yihu up")
    with _database(settings) as db:
        try:
            db.check()
            with db.engine.execution_options(yihu_write=True).connect() as connection:
                connection.exec_driver_sql("SELECT 1")
                connection.rollback()
            at = migrate.current(db)
        except Exception as exc:
            fix = (
                "检查 YIHU_DATABASE_URL 与数据库服务" if settings.database_url else f"检查 {settings.home / 'yihu.db'}"
            )
            raise Wrong(f"数据库不应答：{exc}", fix) from exc
        head = migrate.newest()
        if at != head:
            raise Wrong(f"数据库版本 {at or '空'}，程序需要 {head}", "重新启动以升级：bin/yihu down && bin/yihu up")
        return Finding(f"{'SQLite' if db.is_sqlite else 'PostgreSQL'}，版本 {at}")


def outbox(settings: Settings) -> Finding:
    """Nothing is dead, nothing is late."""
    with _database(settings) as db, db.read() as session:
        dead = session.scalar(select(func.count()).where(OutboxRow.state == "dead")) or 0
        waiting = OutboxRow.state == "pending"
        pending = session.scalar(select(func.count()).where(waiting)) or 0
        oldest = session.scalar(select(func.min(OutboxRow.created_at)).where(waiting))
        error = session.scalar(
            select(OutboxRow.last_error)
            .where(OutboxRow.state != "sent", OutboxRow.last_error.is_not(None))
            .order_by(OutboxRow.id.desc())
            .limit(1)
        )
    if dead:
        raise Wrong(f"{dead} 条消息投递失败（死信）：{error}", "排除原因后在管理页面重新投递")
    if oldest is not None:
        age = datetime.now(UTC) - oldest
        told = f"{pending} 条待投递，最早的已等 {age.total_seconds():.0f} 秒"
        if age > LATE:
            return Finding(f"{told}：{error or '尚未尝试'}", Level.WARNING, restart(settings, "worker"))
        return Finding(told)
    return Finding("没有积压")
