"""The ticket app."""

from __future__ import annotations

import httpx

from core.settings import Settings
from yihu import probes
from yihu.checks import Finding, Wrong, restart


def web(settings: Settings) -> Finding:
    """``GET /healthz`` answers 200."""
    host = probes.local_host(settings.bind)
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port('web_port')}/healthz"
    trusted = settings.trusted_hosts.split(",")[0].strip()
    try:
        with httpx.Client(trust_env=False, timeout=5.0) as client:
            answer = client.get(url, headers={"Host": trusted} if trusted else {})
    except httpx.HTTPError as exc:
        raise Wrong(f"{url} 不应答：{exc}", restart(settings, "web")) from exc
    if answer.status_code != 200:
        raise Wrong(f"{url} 返回 {answer.status_code}：{answer.text[:200]}", restart(settings, "web"))
    return Finding(f"{settings.web_url}，{answer.elapsed.total_seconds() * 1000:.0f} ms")
