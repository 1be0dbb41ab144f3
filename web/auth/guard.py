"""Who is asking: the log-in cookie, checked before every view unless it is marked public."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Blueprint, current_app, g, redirect, request, url_for
from werkzeug.wrappers import Response

from core.errors import Unauthorized
from web.auth.actor import Actor
from web.auth.service import Auth
from web.deps import deps

COOKIE = "yihu_session"
_View = TypeVar("_View", bound=Callable[..., Any])


def auth() -> Auth:
    """The log-in service of the running app."""
    parts = deps()
    return Auth(parts.db, parts.clock, parts.policies, parts.settings.session_minutes)


def public(view: _View) -> _View:
    """Mark a view that needs no log-in."""
    view.yihu_public = True  # type: ignore[attr-defined]
    return view


def public_blueprint(bp: Blueprint) -> None:
    """Mark a whole blueprint that checks its callers itself (the API: tokens and signatures)."""
    bp.yihu_public = True  # type: ignore[attr-defined]


def signed_in() -> Actor | None:
    """The person of this request, looked up once; None when nobody is signed in."""
    if "actor" not in g:
        token = request.cookies.get(COOKIE, "")
        g.actor = auth().who(token) if token else None
    return cast("Actor | None", g.actor)


def current_actor() -> Actor:
    """The person of this request; raises Unauthorized when nobody is signed in."""
    actor = signed_in()
    if actor is None:
        raise Unauthorized("请先登录")
    return actor


def wants_json() -> bool:
    """Whether the asker is a program (the desk's scripts, the API), not a page."""
    best = request.accept_mimetypes.best_match(["text/html", "application/json", "text/event-stream"])
    return request.path.startswith("/api/") or request.is_json or best not in (None, "text/html")


def check() -> Response | None:
    """Before each request: nobody without a log-in, and first of all a new password."""
    endpoint = request.endpoint
    if endpoint is None or endpoint == "static":
        return None
    view = current_app.view_functions.get(endpoint)
    bp = current_app.blueprints.get(request.blueprint or "")
    if getattr(view, "yihu_public", False) or getattr(bp, "yihu_public", False):
        return None
    actor = signed_in()
    if actor is None:
        if wants_json():
            raise Unauthorized("请先登录")
        return redirect(url_for("auth.login", next=request.full_path.rstrip("?")))
    if actor.must_change and endpoint not in ("auth.password", "auth.logout", "auth.language"):
        if wants_json():
            raise Unauthorized("请先修改一次性密码", id="must-change-password")
        return redirect(url_for("auth.password"))
    return None
