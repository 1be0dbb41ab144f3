"""Asterisk and the programs that speak with it."""

from __future__ import annotations

import secrets
import time

import psutil

from agi.ami import AmiClient
from agi.control import AmiCallControl
from agi.server import ping
from core.errors import Unavailable
from core.secrets import secret
from core.settings import Settings
from yihu import probes
from yihu.asterisk_config import AMI_USER, base_dir
from yihu.asterisk_install import OLDEST_MAJOR, read_version
from yihu.beat import STALE_SECONDS
from yihu.checks import Finding, Level, Wrong, restart
from yihu.checks.wsphone import Refused, WebSocketPhone
from yihu.manager_socket import LOOPBACK, Manager
from yihu.runstate import read_pid

TEST_PHONE = "doctor"


def asterisk(settings: Settings) -> Finding:
    """The manager lets us in, the version is one we know, and it does not run as root."""
    try:
        with Manager(settings, 3.0) as manager:
            started = time.monotonic()
            answer = manager.ask("CoreSettings")
            ms = (time.monotonic() - started) * 1000
    except Unavailable as exc:
        raise Wrong(f"Asterisk 不应答：{exc.detail}", restart(settings, "asterisk")) from exc
    version = read_version(f"Asterisk {answer.get('AsteriskVersion', '')}")
    if not version or int(version.split(".")[0]) < OLDEST_MAJOR:
        raise Wrong(
            f"Asterisk {version or '版本未知'} 太旧，需要 {OLDEST_MAJOR} 以上", 'yihu.toml 中设 asterisk = "private"'
        )
    return Finding(f"Asterisk {version}，用户 {_user(settings)}，{ms:.0f} ms")


def _user(settings: Settings) -> str:
    pid = read_pid(base_dir(settings) / "run" / "asterisk.pid")
    try:
        process = psutil.Process(pid if pid is not None else -1)
        user, root = process.username(), 0 in process.uids()
    except (psutil.Error, ValueError):
        return "未知"
    if root:
        raise Wrong("Asterisk 以 root 身份运行", "停止后用 bin/yihu up 启动：它会改用普通用户")
    return str(user)


def agi(settings: Settings) -> Finding:
    """The FastAGI server answers its ping."""
    started = time.monotonic()
    if not ping(LOOPBACK, settings.port("agi_port"), 3.0):
        raise Wrong(f"FastAGI 端口 {settings.port('agi_port')} 不应答：来电正由安全网接听", restart(settings, "agi"))
    return Finding(f"应答 {(time.monotonic() - started) * 1000:.0f} ms")


def link(settings: Settings) -> Finding:
    """The manager link's heart beats."""
    return _beat(settings, "link", "话务状态不再更新，补记停止")


def worker(settings: Settings) -> Finding:
    """The job worker's heart beats."""
    return _beat(settings, "worker", "通话记录不再送达")


def _beat(settings: Settings, name: str, effect: str) -> Finding:
    try:
        age = time.time() - (settings.run_dir / f"{name}.beat").stat().st_mtime
    except FileNotFoundError:
        raise Wrong(f"进程 {name} 从未运行", restart(settings, name)) from None
    if age > STALE_SECONDS:
        raise Wrong(f"进程 {name} 已 {age:.0f} 秒没有心跳：{effect}", restart(settings, name))
    return Finding(f"心跳 {max(0.0, age):.0f} 秒前")


def phone(settings: Settings) -> Finding:
    """A browser phone made a moment ago can register: what happens when an agent signs in."""
    host = probes.local_host(settings.bind)
    url = f"ws://{f'[{host}]' if ':' in host else host}:{settings.port('phone_port')}/ws"
    password = secrets.token_urlsafe(24)
    ami = AmiClient(LOOPBACK, settings.port("ami_port"), AMI_USER, secret(settings.home, "ami"))
    ami.start()
    try:
        if not ami.wait_ready(5.0):
            raise Wrong("Asterisk 管理接口不应答", restart(settings, "asterisk"))
        control = AmiCallControl(ami)
        try:
            started = time.monotonic()
            control.provision_phone(TEST_PHONE, password)
            with WebSocketPhone(url, TEST_PHONE, password) as tried:
                tried.register()
                ms = (time.monotonic() - started) * 1000
                tried.register(expires=0)
        except Refused as exc:
            raise Wrong(
                f"网页电话不能注册：{exc}", f"检查端口 {settings.port('phone_port')}；{restart(settings, 'asterisk')}"
            ) from exc
        finally:
            control.remove_phone(TEST_PHONE)
            control.close()
    finally:
        ami.stop()
    return Finding(f"新建并注册用时 {ms:.0f} ms")


def emergency(settings: Settings) -> Finding:
    """Where 110/119/120/122 go: nobody may be mistaken about it."""
    if settings.emergency_mode == "live":
        return Finding("【真实】110/119/120/122 经中继真实拨出")
    told = "【模拟】110/119/120/122 由语音模拟台接听，不会真正报警"
    if settings.production:
        return Finding(told, Level.WARNING, '正式运行请设 emergency_mode = "live"')
    return Finding(told)
