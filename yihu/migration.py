"""``bin/yihu migration "what changed"``: writes the migration for changed models (for developers)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from alembic import command
from alembic.script import ScriptDirectory

from core.db import Database
from yihu import migrate


@click.command()
@click.argument("message")
def migration(message: str) -> None:
    """Compare the models with the migrations so far and write the next one; read it before you commit it."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{Path(folder) / 'scratch.db'}")
        try:
            with db.engine.begin() as connection:
                command.upgrade(migrate.config(connection), "head")
            with db.engine.begin() as connection:
                config = migrate.config(connection)
                number = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
                command.revision(config, message=message, autogenerate=True, rev_id=f"{number:04}")
        finally:
            db.close()
