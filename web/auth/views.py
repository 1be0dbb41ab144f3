"""Log-in, log-out, password, language."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from core.errors import Invalid, TooMany, Unauthorized, YihuError
from web import i18n
from web.auth.guard import COOKIE, auth, current_actor, public, signed_in
from web.auth.models import Role
from web.deps import deps
from web.i18n import _
from web.limits import limiter, login_rate

bp = Blueprint("auth", __name__, template_folder="templates")


def home_of(role: Role) -> str:
    """The page that a role works on."""
    return url_for({Role.ADMIN: "staff.index", Role.AGENT: "desk.page", Role.LEAD: "desk.page"}[role])


def safe_next(target: str) -> str | None:
    """A path on this site, or None: never an address elsewhere."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or not target.startswith("/") or target.startswith(("//", "/\\")):
        return None
    return target


@bp.route("/")
def index() -> Response:
    return redirect(home_of(current_actor().role))


@bp.route("/login", methods=["GET", "POST"])
@public
@limiter.limit(login_rate, methods=["POST"])
def login() -> Response | tuple[str, int] | str:
    following = request.values.get("next", "")
    if request.method == "GET":
        actor = signed_in()
        if actor is not None:
            return redirect(home_of(actor.role))
        return render_template("auth/login.html", error=None, next=following, username="")
    username = request.form.get("username", "").strip()
    try:
        token = auth().log_in(username, request.form.get("password", ""), request.remote_addr or "")
    except (Unauthorized, TooMany) as exc:
        page = render_template("auth/login.html", error=exc, next=following, username=username)
        return page, exc.status
    response = redirect(safe_next(following) or url_for("auth.index"))
    _set_cookie(response, token)
    return response


@bp.route("/logout", methods=["POST"])
def logout() -> Response:
    auth().log_out(request.cookies.get(COOKIE, ""))
    response = redirect(url_for("auth.login"))
    response.delete_cookie(COOKIE)
    return response


@bp.route("/password", methods=["GET", "POST"])
def password() -> Response | tuple[str, int] | str:
    actor = current_actor()
    if request.method == "GET":
        return render_template("auth/password.html", error=None, forced=actor.must_change)
    new = request.form.get("new", "")
    try:
        if new != request.form.get("repeat", ""):
            raise Invalid(_("两次输入的新密码不一致"), id="bad-password")
        auth().change_password(actor, request.form.get("current", ""), new)
    except YihuError as exc:
        return render_template("auth/password.html", error=exc, forced=actor.must_change), exc.status
    # Every session of the user has ended; this person goes on with a new one.
    token = auth().log_in(actor.username, new, request.remote_addr or "")
    response = redirect(url_for("auth.index"))
    _set_cookie(response, token)
    return response


@bp.route("/language", methods=["POST"])
@public
def language() -> Response:
    response = redirect(safe_next(request.form.get("next", "/")) or "/")
    chosen = request.form.get("lang", "zh")
    if chosen in i18n.LANGUAGES:
        session.permanent = True
        session["language"] = chosen
    return response


def _set_cookie(response: Response, token: str) -> None:
    response.set_cookie(
        COOKIE,
        token,
        max_age=deps().settings.session_minutes * 60,
        httponly=True,
        samesite="Lax",
        secure=request.is_secure,
    )
