"""What is heard: the way of the sound, the prompts, the speech model."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile

from core.errors import SettingsError, Unavailable
from core.settings import Settings
from ivr_flows.prompts.catalogue import LANGUAGES, shipped
from ivr_flows.prompts.store import PromptStore
from yihu import softphone_audio as audio
from yihu.checks import Finding, Level, Wrong, restart
from yihu.phone import trunk_of
from yihu.softphone import SoftPhone, listening

HERTZ = 1000.0
BEFORE = 0.6  # seconds of silence before the tone
TONE_SECONDS = 1.5
LEAST_BACK = 1.0
SLOW_SECONDS = 0.4  # people begin to talk over each other (ITU-T G.114)
LOAD_SECONDS = 100.0


def call(settings: Settings) -> Finding:
    """A call over the trunk hears its own tone: signalling and sound work both ways."""
    try:
        trunk = trunk_of(settings)
    except SettingsError:
        return Finding(
            f"中继是 {settings.trunk_address}，本机不能冒充它呼入，未测试",
            Level.WARNING,
            "请从真实电话拨打热线，确认双方都能听到",
        )
    if not listening(trunk.host, trunk.port, trunk.source):
        raise Wrong(f"SIP 端口 {trunk.target} 不应答", restart(settings, "asterisk"))
    with tempfile.TemporaryDirectory(prefix="yihu-doctor-") as folder:
        sent, heard = Path(folder) / "tone.wav", Path(folder) / "heard.wav"
        audio.save(sent, audio.tone(HERTZ, TONE_SECONDS, silence_before=BEFORE))
        try:
            with SoftPhone(trunk.source) as phone:
                made = phone.call("selftest", trunk.target, play=sent, save=heard)
                if not made.wait("answered", 8):
                    raise Wrong(
                        f"自测电话没有接通：SIP {made.sip_code} {made.reason}",
                        "检查 trunk_address；" + restart(settings, "asterisk"),
                    )
                made.wait_tone(HERTZ, 6, lasting=LEAST_BACK)
                made.hang_up()
                sound = made.sound()
        except Unavailable as exc:
            raise Wrong(f"测试电话不能启动：{exc.detail}", "重新安装依赖：bin/yihu up") from exc
    back = audio.tone_seconds(sound, HERTZ)
    if back < LEAST_BACK:
        ports = f"UDP {settings.port('rtp_first')}-{settings.port('rtp_last')}"
        raise Wrong(f"电话接通但没有声音：发出的音只听回 {back:.1f} 秒", f"检查防火墙是否放行语音端口 {ports}")
    delay = (audio.onset(sound, HERTZ) or BEFORE) - BEFORE
    told = f"双向有声，往返 {delay * 1000:.0f} ms，{audio.heard(sound).rms_db} dBFS"
    if delay > SLOW_SECONDS:
        return Finding(told, Level.WARNING, "机器过载：减少负载或增加处理器")
    return Finding(told)


def prompts(settings: Settings) -> Finding:
    """Each prompt has a file in each language and at each rate, readable for Asterisk and not silent."""
    store = PromptStore(settings.prompts_dir)
    missing = store.missing()
    if missing:
        shown = "、".join(missing[:3]) + ("……" if len(missing) > 3 else "")
        raise Wrong(f"缺少 {len(missing)} 段语音：{shown}", "执行：bin/yihu up（它会合成缺少的语音）")
    for language in LANGUAGES:
        for prompt_id in shipped().prompts:
            for ending, rate in ((".wav", 8000), (".wav16", 16000)):
                _check_file(settings.prompts_dir / language / f"{prompt_id}{ending}", rate)
    if not any((settings.home / "moh").glob("*.wav")):
        raise Wrong("没有等待音乐", "执行：bin/yihu up（它会生成）")
    return Finding(f"{len(shipped().prompts)} 段 × {len(LANGUAGES)} 种语言")


def _check_file(path: Path, rate: int) -> None:
    fix = f"删除 {path} 后执行 bin/yihu up，或放入重新录制的文件"
    try:
        with path.open("rb") as file:
            info = soundfile.info(file)
            file.seek(0)
            silent = audio.heard(audio.load(path)).seconds == 0 if rate == audio.RATE else False
    except (OSError, RuntimeError) as exc:
        raise Wrong(f"语音 {path} 不能读：{exc}", fix) from exc
    if info.samplerate != rate or info.channels != 1 or silent:
        raise Wrong(f"语音 {path} 不对：{info.samplerate} Hz，{info.channels} 声道{'，无声' if silent else ''}", fix)
    if path.stat().st_mode & 0o044 != 0o044:
        raise Wrong(f"Asterisk 的用户不能读 {path}", f"执行：chmod a+r {path}")


def speech(settings: Settings) -> Finding:
    """The speech model, when there is one, really loads (in a process of its own: a broken one may abort)."""
    model = settings.speech_model
    if model is None:
        return Finding(
            "未配置：通话会录音，但不转写", Level.WARNING, '下载 Vosk 模型，在 yihu.toml 中设 speech_model = "目录"'
        )
    if not model.is_dir():
        raise Wrong(f"语音模型目录 {model} 不存在", "改正 speech_model，或删去该设置")
    code = "import sys, vosk; vosk.SetLogLevel(-1); vosk.Model(sys.argv[1])"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(model)], capture_output=True, text=True, timeout=LOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Wrong(f"语音模型 {LOAD_SECONDS:.0f} 秒没有装载完", "换用较小的模型") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["?"])[-1]
        raise Wrong(f"语音模型 {model} 不能装载：{last}", "重新下载并解压模型；speech_model 应指向含 conf/ 的目录")
    return Finding(f"{model.name} 可用")
