"""All settings: one TOML file (``YIHU_HOME/yihu.toml``) or ``YIHU_*`` variables; variables win.

``docs/settings.md`` is generated from the descriptions below. Numbers of hotline policy (limits, thresholds)
are not here but in the database: see :mod:`core.policy`.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from core.errors import SettingsError

REPO = Path(__file__).resolve().parent.parent

PORT_FIELDS = ("web_port", "sip_port", "ami_port", "agi_port", "phone_port", "rtp_first", "rtp_last")


class Settings(BaseSettings):
    """Every setting with its meaning, unit and default."""

    model_config = SettingsConfigDict(env_prefix="YIHU_", extra="forbid", validate_default=True)

    # -- where things are ---------------------------------------------------------------------------
    home: Path = Field(REPO / "var", description="Data folder: database, recordings, logs, Asterisk's files.")
    tools: Path | None = Field(
        None, description="Folder of downloaded tools (private Asterisk and the like). Default: HOME/tools."
    )
    production: bool = Field(False, description="true on a live hotline: stricter checks, no demo data.")
    node: str = Field("n1", pattern=r"^[a-z][a-z0-9]{0,15}$", description="Name of this telephone node.")

    # -- addresses and ports ------------------------------------------------------------------------
    bind: str = Field("127.0.0.1", description="Address that services listen on. Loopback unless you change it.")
    port_shift: int = Field(
        0, ge=0, le=40000, description="Added to every port below, so that a second home can run beside the first."
    )
    web_port: int = Field(12345, ge=1, le=65535, description="Web pages and API (HTTP).")
    sip_port: int = Field(15060, ge=1, le=65535, description="SIP trunk (UDP).")
    ami_port: int = Field(15038, ge=1, le=65535, description="Asterisk manager interface (TCP).")
    agi_port: int = Field(14573, ge=1, le=65535, description="FastAGI server (TCP).")
    phone_port: int = Field(18088, ge=1, le=65535, description="Browser phones: SIP over WebSocket (TCP).")
    rtp_first: int = Field(20000, ge=1024, le=65535, description="First UDP port for audio.")
    rtp_last: int = Field(20999, ge=1024, le=65535, description="Last UDP port for audio.")
    phone_url: str = Field(
        "",
        description="WebSocket address that browsers use for the phone, for instance wss://12345.example/ws "
        "behind a proxy. Empty: ws://BIND:PHONE_PORT/ws.",
    )
    trusted_hosts: str = Field(
        "", description="Host names the web app answers to, separated by commas. Empty: any (loopback use)."
    )
    proxy_hops: int = Field(0, ge=0, le=3, description="Reverse proxies in front of the web app whose headers count.")

    # -- the trunk ----------------------------------------------------------------------------------
    trunk_address: str = Field(
        "127.0.0.2",
        description="Address of the telephone company's side of the trunk (IP or network). Calls from elsewhere "
        "are refused. On one machine never 127.0.0.1: that is where the browser phones are.",
    )
    hotline_number: str = Field("12345", pattern=r"^[0-9+]{3,20}$", description="The number callers dial.")
    emergency_mode: Literal["simulator", "live"] = Field(
        "simulator",
        description="simulator: 110/119/120/122 are answered by a spoken stand-in. live: they are dialled for "
        "real over the trunk; needs production=true.",
    )
    safety_net_emergency: Literal["110", "119", "120", "122"] = Field(
        "110", description="Emergency line that key 9 reaches when the call programs are down."
    )

    # -- database and records --------------------------------------------------------------------------
    database_url: str = Field(
        "", description="SQLAlchemy URL. Empty: SQLite in HOME/yihu.db. PostgreSQL: postgresql+psycopg://…"
    )
    record_url: str = Field(
        "", description="Ticket app that call records are pushed to. Empty: this system's own web app."
    )

    # -- processes ----------------------------------------------------------------------------------
    agi_processes: int = Field(1, ge=1, le=16, description="FastAGI processes sharing the port.")
    web_processes: int = Field(1, ge=1, le=16, description="gunicorn processes.")
    web_threads: int = Field(64, ge=4, le=1000, description="Threads per gunicorn process; each open desk uses one.")
    drain_seconds: float = Field(
        30, ge=0, le=3600, description="How long `down` waits for live calls before it ends them (seconds)."
    )
    run_user: str = Field(
        "yihu", description="Ordinary user that Asterisk runs as when Yihu is started by root (created if missing)."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")

    # -- installing ---------------------------------------------------------------------------------
    asterisk: Literal["auto", "system", "private"] = Field(
        "auto", description="auto: the system's Asterisk if 18 or newer, else a private copy in TOOLS."
    )
    debian_mirror: str = Field(
        "", description="Mirror for private copies. Empty: the one in the machine's own apt sources."
    )
    debian_suite: str = Field("forky", description="Debian suite the private copy comes from.")
    chromium: str = Field("", description="Chromium used by the tests. Empty: the system's.")

    # -- speech -------------------------------------------------------------------------------------
    speech_model: Path | None = Field(None, description="Folder of the Vosk model. Empty: no transcription.")

    # -- signing in ---------------------------------------------------------------------------------
    session_minutes: int = Field(720, ge=5, le=1440, description="A web session ends after so many minutes.")
    login_rate: str = Field("10 per minute", description="Log-in attempts per address before a pause.")

    @field_validator("home", "tools", "speech_model", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().resolve()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.rtp_last - self.rtp_first < 20:
            raise ValueError("rtp_last must be at least 20 above rtp_first")
        if self.emergency_mode == "live" and not self.production:
            raise ValueError("emergency_mode=live needs production=true: nothing else may dial 110/119/120/122")
        if self.rtp_last + self.port_shift > 65535:
            raise ValueError("port_shift pushes the audio ports beyond 65535")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The file's values come in through init (see load); variables must win over them.
        return env_settings, init_settings

    def port(self, name: str) -> int:
        """A port as it is really used: its setting plus ``port_shift``. ``name`` is one of PORT_FIELDS."""
        if name not in PORT_FIELDS:
            raise KeyError(name)
        value: int = getattr(self, name)
        return value + self.port_shift

    @property
    def tools_dir(self) -> Path:
        return self.tools or self.home / "tools"

    @property
    def db_url(self) -> str:
        return self.database_url or f"sqlite:///{self.home / 'yihu.db'}"

    @property
    def web_url(self) -> str:
        return f"http://{self.bind}:{self.port('web_port')}"

    @property
    def push_url(self) -> str:
        return self.record_url or self.web_url

    @property
    def phone_ws_url(self) -> str:
        return self.phone_url or f"ws://{self.bind}:{self.port('phone_port')}/ws"

    # -- folders in the home --------------------------------------------------------------------------
    @property
    def capture_dir(self) -> Path:
        """Where Asterisk writes audio while a call lasts (writable by Asterisk's user)."""
        return self.home / "asterisk" / "capture"

    @property
    def store_dir(self) -> Path:
        """Where finished recordings are kept (not readable by Asterisk's user)."""
        return self.home / "recordings"

    @property
    def prompts_dir(self) -> Path:
        return self.home / "prompts"

    @property
    def log_dir(self) -> Path:
        return self.home / "log"

    @property
    def run_dir(self) -> Path:
        return self.home / "run"


def load(home: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings file and the environment.

    ``home`` (or ``YIHU_HOME``) decides which file is read; ``YIHU_CONFIG`` names another file.
    Raises SettingsError naming each wrong setting, its value and where it came from.
    """
    root = Path(home or os.environ.get("YIHU_HOME") or REPO / "var").expanduser().resolve()
    path = Path(os.environ.get("YIHU_CONFIG") or root / "yihu.toml")
    values: dict[str, Any] = {}
    if path.is_file():
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise SettingsError(f"{path} is not valid TOML: {exc}", fix=f"correct {path}") from exc
    values["home"] = root
    values.update(overrides)
    try:
        return Settings(**values)
    except ValidationError as exc:
        lines = []
        for error in exc.errors():
            name = ".".join(str(part) for part in error["loc"]) or "settings"
            source = f"YIHU_{name.upper()}" if f"YIHU_{name.upper()}" in os.environ else str(path)
            given = "" if error["type"] == "value_error" else f" (given: {error['input']!r})"
            lines.append(f"{name}: {error['msg']}{given}, from {source}")
        raise SettingsError("; ".join(lines), fix="see docs/settings.md for each setting's meaning") from None
