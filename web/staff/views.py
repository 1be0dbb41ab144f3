"""The administrator's pages: people, numbers, queues and units."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from core.clock import local
from core.errors import Conflict, Invalid, NotFound
from web import words
from web.auth.guard import auth, current_actor
from web.auth.models import Role
from web.deps import deps
from web.i18n import _, said
from web.staff.lines import Lines, flow_ids
from web.staff.service import LANGUAGES, LONGEST_NUMBER, Staff

bp = Blueprint("staff", __name__, url_prefix="/staff", template_folder="templates")

Answer = str | tuple[str, int] | Response


def staff() -> Staff:
    return Staff(deps(), auth())


def lines() -> Lines:
    return Lines(deps())


# -- people -------------------------------------------------------------------------------------------------


@bp.get("")
def index() -> str:
    return _people()


@bp.post("")
def create() -> str | tuple[str, int]:
    """The one-time password is in this answer only, which browsers are told not to store."""
    form = request.form
    try:
        password = staff().create(
            current_actor(),
            username=form.get("username", ""),
            name=form.get("name", ""),
            role=form.get("role", ""),
            number=form.get("number", ""),
            languages=form.getlist("languages"),
            queues=form.getlist("queues"),
        )
    except (Invalid, Conflict) as exc:
        return _people(error=said(exc), typed=form), exc.status
    return _people(password=password, username=form.get("username", "").strip().lower())


def _people(**values: Any) -> str:
    actor = current_actor()
    empty: dict[str, Any] = {"error": "", "password": "", "username": "", "typed": None}
    return render_template(
        "staff/index.html",
        people=staff().people(actor),
        queues=lines().queues(actor),
        roles=[(str(role), words.role(role)) for role in Role],
        languages_spoken=LANGUAGES,
        longest_number=LONGEST_NUMBER,
        tab="people",
        **{**empty, **values},
    )


@bp.get("/people/<int:user_id>")
def person(user_id: int) -> str:
    return _person(user_id)


@bp.post("/people/<int:user_id>")
def change(user_id: int) -> Answer:
    form = request.form
    try:
        staff().change(
            current_actor(),
            user_id,
            name=form.get("name", ""),
            languages=form.getlist("languages"),
            queues=form.getlist("queues"),
        )
    except Invalid as exc:
        return _person(user_id, error=said(exc)), exc.status
    flash(_("已保存"), "success")
    return redirect(url_for("staff.person", user_id=user_id))


@bp.post("/<int:user_id>/password")
def reset(user_id: int) -> str:
    """Like create: the password is shown once, and only in this answer."""
    username, password = staff().reset_password(current_actor(), user_id)
    return _person(user_id, password=password, username=username)


@bp.get("/<int:user_id>/password")
def after_reset(user_id: int) -> Response:
    """Where a change of language on the answer of ``reset`` leads."""
    return redirect(url_for("staff.person", user_id=user_id))


@bp.post("/<int:user_id>/active")
def active(user_id: int) -> Response:
    try:
        staff().set_active(current_actor(), user_id, active=request.form.get("active") == "1")
    except Conflict as exc:
        flash(said(exc), "error")
    else:
        flash(_("已保存"), "success")
    return redirect(url_for("staff.person", user_id=user_id))


def _person(user_id: int, **values: Any) -> str:
    actor = current_actor()
    empty = {"error": "", "password": "", "username": ""}
    return render_template(
        "staff/person.html",
        person=staff().person(actor, user_id),
        queues=lines().queues(actor),
        languages_spoken=LANGUAGES,
        local=local,
        tab="people",
        **{**empty, **values},
    )


# -- the hotline --------------------------------------------------------------------------------------------


@bp.get("/numbers")
def numbers() -> str:
    return _numbers()


@bp.post("/numbers")
def save_number() -> Answer:
    form = request.form
    try:
        lines().save_number(
            current_actor(),
            number=form.get("number", ""),
            title=form.get("title", ""),
            flow_id=form.get("flow_id", ""),
        )
    except Invalid as exc:
        return _numbers(error=said(exc), typed=form), exc.status
    flash(_("已保存"), "success")
    return redirect(url_for("staff.numbers"))


@bp.post("/numbers/<number>/remove")
def remove_number(number: str) -> Response:
    try:
        lines().remove_number(current_actor(), number)
    except NotFound as exc:
        flash(said(exc), "error")
    else:
        flash(_("已删除"), "success")
    return redirect(url_for("staff.numbers"))


def _numbers(**values: Any) -> str:
    empty: dict[str, Any] = {"error": "", "typed": None}
    rows = lines().numbers(current_actor())
    return render_template("staff/numbers.html", numbers=rows, flows=flow_ids(), tab="numbers", **{**empty, **values})


@bp.get("/queues")
def queues() -> str:
    return render_template("staff/queues.html", queues=lines().queues(current_actor()), tab="queues")


@bp.get("/units")
def units() -> str:
    return render_template("staff/units.html", units=lines().units(current_actor()), tab="units")
