"""``bin/yihu token``: programs that may use the API."""

from __future__ import annotations

import click

from core.settings import load
from web.api.models import SCOPES
from web.api.service import create_client, remove_client
from yihu import compose


@click.group()
def token() -> None:
    """API clients: make one, end one."""


@token.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), required=True, help="May be repeated.")
def create(name: str, scopes: tuple[str, ...]) -> None:
    """Make the client NAME and print its token, once."""
    parts = compose.build(load())
    try:
        click.echo(create_client(parts.db, parts.clock, name, scopes))
    finally:
        parts.close()


@token.command()
@click.argument("name")
def remove(name: str) -> None:
    """End the client NAME: its token is refused from now on."""
    parts = compose.build(load())
    try:
        remove_client(parts.db, parts.clock, name)
        click.echo(f"{name}: removed")
    finally:
        parts.close()
