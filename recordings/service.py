"""From captured files to kept recordings.

The identity of a recording (its id, hence its file names) is fixed before audio starts; a worker later joins both
directions into one stereo FLAC in the store, hashes it and removes the captured files.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import log
from core.clock import Clock, local
from core.db import Database
from core.errors import NotFound, Unavailable
from core.settings import Settings
from recordings.models import Recording
from recordings.wave import RATE, join, read_capture, write_flac

SETTLE_SECONDS = 1.0  # Asterisk closes its files a moment after the call
GIVE_UP_SECONDS = 60.0  # nothing was ever written: then the recording is missing

_SAFE = re.compile(r"^[a-z0-9.-]{1,72}$")


@dataclass(frozen=True)
class CapturePlan:
    """Where Asterisk shall write. Paths carry ``.wav``; ``outgoing`` is None for one-sided captures."""

    recording_id: str
    incoming: Path
    outgoing: Path | None


class Recordings:
    def __init__(self, db: Database, clock: Clock, settings: Settings) -> None:
        self.db, self.clock, self.settings = db, clock, settings
        self._log = log.get("recordings")

    def plan(self, session: Session, call_id: str, kind: str, *, suffix: str = "") -> CapturePlan:
        """Decide the identity of a new recording of this call, within the caller's transaction."""
        count = len(list(session.scalars(select(Recording.id).where(Recording.call_id == call_id))))
        recording_id = f"{call_id}-{suffix or count + 1}"
        if session.get(Recording, recording_id) is None:
            session.add(
                Recording(id=recording_id, call_id=call_id, kind=kind, state="capturing", started_at=self.clock.now())
            )
            session.flush()
        return self._paths(recording_id, kind)

    def _paths(self, recording_id: str, kind: str) -> CapturePlan:
        if not _SAFE.match(recording_id):
            raise NotFound(f"no recording {recording_id!r}", id="no-such-recording")
        folder = self.settings.capture_dir
        if kind == "message":
            return CapturePlan(recording_id, folder / f"{recording_id}.wav", None)
        return CapturePlan(recording_id, folder / f"{recording_id}-in.wav", folder / f"{recording_id}-out.wav")

    def discard(self, recording_id: str) -> None:
        """Forget a piece that turned out to hold nothing (a message of half a second)."""
        with self.db.write() as session:
            row = session.get(Recording, recording_id)
            if row is None or row.state != "capturing":
                return
            plan = self._paths(row.id, row.kind)
            session.delete(row)
        for path in (plan.incoming, plan.outgoing):
            if path is not None:
                path.unlink(missing_ok=True)

    def of_call(self, call_id: str) -> list[Recording]:
        with self.db.read() as session:
            query = select(Recording).where(Recording.call_id == call_id).order_by(Recording.started_at, Recording.id)
            return list(session.scalars(query))

    def get(self, recording_id: str) -> Recording:
        """Raises NotFound for an unknown id."""
        with self.db.read() as session:
            found = session.get(Recording, recording_id)
        if found is None:
            raise NotFound(f"no recording {recording_id}", id="no-such-recording")
        return found

    def path(self, recording: Recording) -> Path:
        """The stored file; raises NotFound while there is none."""
        if recording.state != "stored" or recording.store_key is None:
            raise NotFound(f"recording {recording.id} is {recording.state}", id="recording-not-stored")
        return self.settings.store_dir / recording.store_key

    def finish(self, call_id: str) -> list[Recording]:
        """Store every captured piece of an ended call; returns them all. Raises Unavailable while files still grow."""
        for recording in self.of_call(call_id):
            if recording.state == "capturing":
                self._store(recording)
        return self.of_call(call_id)

    def _store(self, recording: Recording) -> None:
        plan = self._paths(recording.id, recording.kind)
        parts = [path for path in (plan.incoming, plan.outgoing) if path is not None]
        present = [path for path in parts if path.exists()]
        if not present:
            age = (self.clock.now() - recording.started_at).total_seconds()
            if age < GIVE_UP_SECONDS:
                raise Unavailable(f"recording {recording.id} has no file yet")
            self._log.error("recording missing", recording_id=recording.id)
            self._update(recording.id, state="missing")
            return
        if any(time.time() - path.stat().st_mtime < SETTLE_SECONDS for path in present):
            raise Unavailable(f"recording {recording.id} is still being written")
        silence = np.zeros(0, dtype=np.int16)
        sides = [read_capture(path) if path.exists() else silence for path in parts]
        samples = join(sides[0], sides[1]) if len(sides) == 2 else sides[0].reshape(-1, 1)
        day = local(recording.started_at)
        key = f"{day:%Y/%m/%d}/{recording.id}.flac"
        target = self.settings.store_dir / key
        write_flac(target, samples)
        content = target.read_bytes()
        self._update(
            recording.id,
            state="stored",
            stored_at=self.clock.now(),
            seconds=len(samples) / RATE,
            channels=samples.shape[1],
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            store_key=key,
        )
        for path in present:
            path.unlink(missing_ok=True)

    def _update(self, recording_id: str, **values: object) -> None:
        with self.db.write() as session:
            row = session.get(Recording, recording_id)
            assert row is not None
            for name, value in values.items():
                setattr(row, name, value)
