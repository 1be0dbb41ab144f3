"""Makes the prompt files of a home: only what has changed, out of a shared cache where possible.

HOME/prompts/<language>/<id>.wav and .wav16 come from, in this order: a recorded file in
HOME/prompts-recorded/<language>/<id>.*, else the synthetic voice (or a computed tone). What a file was made of is
kept as a hash in HOME/prompts/manifest.json, so a second run does nothing and a changed text changes one file.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.errors import Invalid
from core.policy import declare
from ivr_flows.prompts import audio, moh, voice
from ivr_flows.prompts.catalogue import LANGUAGES, Catalogue, Entry

GREETING = "greeting"
GREETING_SECONDS = declare(
    "flow.greeting_max_seconds", 10, "s", "开场问候语最长时间（各语种合计）", "SPEC 3.1: greeting ≤ 10 s; GB/T 33358"
)
PIPELINE = "2"  # raise it when the same text would now sound different: every file is made anew
RECORDED_FORMATS = (".wav", ".flac", ".ogg", ".mp3", ".aiff")
WORKERS = 2


@dataclass(frozen=True)
class Made:
    """A line of the manifest: what a file is made of (``key``), where it is from, and how it measures at 8 kHz."""

    key: str
    source: Literal["recorded", "synthesised", "tone"]
    seconds: float
    level: float
    peak: float


@dataclass
class Report:
    """What a run did. ``problems`` are for people: recordings that could not be used, a greeting that is too long."""

    made: int = 0
    cached: int = 0
    unchanged: int = 0
    problems: list[str] = field(default_factory=list)
    files: dict[str, Made] = field(default_factory=dict)  # "zh/greeting" → what it is


@dataclass(frozen=True)
class _Job:
    name: str  # language/id
    key: str
    entry: Entry
    language: str
    recording: Path | None

    @property
    def source(self) -> Literal["recorded", "synthesised", "tone"]:
        if self.recording is not None:
            return "recorded"
        return "tone" if self.entry.tone else "synthesised"


class PromptMaker:
    """Makes prompts into ``folder``. ``cache`` may be shared by any number of homes; ``espeak`` gives the command of
    the voice with its first arguments, and is asked only when the cache lacks something."""

    def __init__(
        self, catalogue: Catalogue, folder: Path, recorded: Path, cache: Path, espeak: Callable[[], Sequence[str]]
    ) -> None:
        self.catalogue, self.folder, self.recorded, self.cache = catalogue, folder, recorded, cache
        self._find_espeak = espeak
        self._espeak: Sequence[str] | None = None
        self._lock = threading.Lock()

    def make(self) -> Report:
        """Make what is missing or has changed. Raises Unavailable when the voice is needed and cannot be had."""
        report, known = Report(), self._manifest()
        todo: dict[str, list[_Job]] = {}
        for job in self._jobs(report):
            old = known.get(job.name)
            if old is not None and old.key == job.key and self._there(job.name):
                report.files[job.name] = old
                report.unchanged += 1
            else:
                todo.setdefault(job.key, []).append(job)
        with ThreadPoolExecutor(WORKERS) as pool:
            # Jobs with one key (bilingual prompts, tones) are one piece of work.
            results = pool.map(self._produce, [jobs[0] for jobs in todo.values()])
            for jobs, (new, line) in zip(todo.values(), results, strict=True):
                for job in jobs:
                    self._install(job.key, job.name)
                    report.files[job.name] = line
                report.made += new
                report.cached += len(jobs) - new
        self._check_greeting(report)
        self._write_manifest(report.files)
        return report

    # -- what is to be done ---------------------------------------------------------------------------------

    def _jobs(self, report: Report) -> Iterator[_Job]:
        for prompt_id, entry in self.catalogue.prompts.items():
            for language in LANGUAGES:
                recording = self._recording(language, prompt_id, report)
                key = _key(entry, language, recording)
                yield _Job(f"{language}/{prompt_id}", key, entry, language, recording)

    def _recording(self, language: str, prompt_id: str, report: Report) -> Path | None:
        for ending in RECORDED_FORMATS:
            path = self.recorded / language / f"{prompt_id}{ending}"
            if path.is_file():
                try:
                    samples, rate = audio.read(path)
                    audio.telephone(samples, rate, audio.RATES[".wav"])
                except Invalid as exc:
                    report.problems.append(f"recording not used: {language}/{exc.detail}")
                else:
                    return path
        return None

    # -- doing it -------------------------------------------------------------------------------------------

    def _produce(self, job: _Job) -> tuple[bool, Made]:
        """Make sure the cache has the job's audio; True when it had to be made."""
        line = self.cache / f"{job.key}.json"
        if all((self.cache / f"{job.key}{ending}").is_file() for ending in (*audio.RATES, ".json")):
            return False, Made(**json.loads(line.read_text("utf-8")))
        samples, rate = self._sound(job)
        made: Made | None = None
        for ending, target in audio.RATES.items():
            ready = audio.telephone(samples, rate, target)
            audio.write(self.cache / f"{job.key}{ending}", ready, target)
            if made is None:
                measured = audio.measure(ready, target)
                numbers = (round(value, 2) for value in (measured.seconds, measured.level, measured.peak))
                made = Made(job.key, job.source, *numbers)
        assert made is not None
        with audio.replacing(line) as draft:
            draft.write_text(json.dumps(asdict(made)), "utf-8")
        return True, made

    def _sound(self, job: _Job) -> tuple[audio.Samples, int]:
        if job.recording is not None:
            return audio.read(job.recording)
        if job.entry.tone is not None:
            rate = audio.RATES[".wav16"]
            return audio.tone(job.entry.tone.hertz, job.entry.tone.seconds, rate), rate
        return voice.speak(self._voice(), job.entry.speech(job.language))

    def _voice(self) -> Sequence[str]:
        with self._lock:  # finding it may mean downloading it: once is enough
            if self._espeak is None:
                self._espeak = tuple(self._find_espeak())
            return self._espeak

    def _install(self, key: str, name: str) -> None:
        for ending in audio.RATES:
            with audio.replacing(self.folder / f"{name}{ending}") as draft:
                shutil.copyfile(self.cache / f"{key}{ending}", draft)

    def _there(self, name: str) -> bool:
        return all((self.folder / f"{name}{ending}").is_file() for ending in audio.RATES)

    def _check_greeting(self, report: Report) -> None:
        seconds = sum(report.files[f"{language}/{GREETING}"].seconds for language in LANGUAGES)
        most = float(GREETING_SECONDS.default)
        if seconds > most:
            report.problems.append(f"the greeting lasts {seconds:.1f} s in all languages; {most:.0f} s are allowed")

    # -- the manifest ---------------------------------------------------------------------------------------

    def _manifest(self) -> dict[str, Made]:
        try:
            content: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text("utf-8"))
            return {name: Made(**line) for name, line in content.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # missing or damaged: everything is looked at again

    def _write_manifest(self, files: dict[str, Made]) -> None:
        content = json.dumps({name: asdict(files[name]) for name in sorted(files)}, indent=1)
        with audio.replacing(self.folder / "manifest.json") as draft:
            draft.write_text(content, "utf-8")


def make_music(folder: Path, cache: Path) -> bool:
    """Put the music on hold into ``folder``, computed once per cache; True when it had to be computed."""
    endings = tuple(audio.RATES)
    store = cache / f"moh-{moh.VERSION}"
    computed = not all((store / f"{moh.NAME}{ending}").is_file() for ending in endings)
    if computed:
        moh.write(store)
    for ending in endings:
        target, origin = folder / f"{moh.NAME}{ending}", store / f"{moh.NAME}{ending}"
        if not target.is_file() or target.stat().st_size != origin.stat().st_size:
            with audio.replacing(target) as draft:
                shutil.copyfile(origin, draft)
    return computed


def _key(entry: Entry, language: str, recording: Path | None) -> str:
    """A hash of everything the audio depends on."""
    hasher = hashlib.sha256(f"{PIPELINE} {audio.LEVEL} {audio.PEAK} ".encode())
    if recording is not None:
        hasher.update(recording.read_bytes())
    elif entry.tone is not None:
        hasher.update(entry.tone.model_dump_json().encode())
    else:
        for name, text in entry.speech(language):
            hasher.update(f"{voice.recipe(name, text)}\n".encode())
    return hasher.hexdigest()[:32]
