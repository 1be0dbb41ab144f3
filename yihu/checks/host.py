"""The machine: folders, disk, clock."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.clock import SHANGHAI
from core.settings import REPO, Settings
from yihu.checks import Finding, Level, Wrong

LEAST_FREE = 300 * 2**20  # bytes; below it recordings and the database are in danger
LITTLE_FREE = 5 * 2**30  # about 80 hours of recordings
LEAST_INODES = 2000


def folders(settings: Settings) -> Finding:
    """Every folder that is written to can be, and there is room."""
    wanted = [settings.home, settings.run_dir, settings.log_dir, settings.store_dir, settings.home / "secrets"]
    for folder in wanted:
        if folder.is_dir():
            _try_writing(folder)
        elif folder == settings.home:
            raise Wrong(f"数据目录 {folder} 不存在", "执行：bin/yihu up（它会建立该目录），或改正 YIHU_HOME")
    if settings.capture_dir.is_dir():
        _check_capture(settings)
    free = min(shutil.disk_usage(folder).free for folder in (settings.home, settings.store_dir) if folder.exists())
    inodes = os.statvfs(settings.home).f_favail
    told = f"可写，剩余 {free / 2**30:.1f} GB"
    if free < LEAST_FREE or (0 < inodes < LEAST_INODES):
        raise Wrong(f"磁盘将满：剩余 {free / 2**20:.0f} MB，{inodes} 个文件", f"清理或扩大 {settings.home} 所在的磁盘")
    if free < LITTLE_FREE:
        return Finding(told, Level.WARNING, f"请扩大 {settings.home} 所在的磁盘：录音每小时约 60 MB")
    return Finding(told)


def _try_writing(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctor")
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise Wrong(
            f"不能写入 {folder}：{exc.strerror}", f"改正该目录的权限或属主：chown -R $(whoami) {folder}"
        ) from exc


def _check_capture(settings: Settings) -> None:
    """Asterisk writes there as its own user; we must be able to read and remove."""
    folder, owner = settings.capture_dir, settings.capture_dir.stat()
    if not owner.st_mode & 0o200:
        raise Wrong(f"Asterisk 的用户不能写入 {folder}", f"执行：chmod u+rwx {folder}")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise Wrong(f"不能读取 {folder} 中的录音", "用启动系统的同一用户运行")


def clock(_settings: Settings) -> Finding:
    """The clock is plausible, runs evenly, and knows Beijing time whatever ``TZ`` says."""
    now = datetime.now(UTC)
    newest = max(path.stat().st_mtime for path in (REPO / "pyproject.toml", Path(__file__)))
    if now.timestamp() < newest - timedelta(days=1).total_seconds():
        raise Wrong(f"系统时钟 {now:%F %T} UTC 早于程序本身的日期", "校准时钟：timedatectl set-ntp true")
    wall, steady = time.time(), time.monotonic()
    time.sleep(0.2)
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    if drift > 0.1:
        raise Wrong(f"时钟正在跳动：0.2 秒内偏差 {drift:.2f} 秒", "检查时间同步服务是否反复改动时钟")
    if now.astimezone(SHANGHAI).utcoffset() != timedelta(hours=8):
        raise Wrong("时区数据有误：Asia/Shanghai 不是 UTC+8", "重新安装 tzdata")
    return Finding(f"北京时间 {now.astimezone(SHANGHAI):%F %T}")
