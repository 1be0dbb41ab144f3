"""A supervisor over three small processes, run by test_supervisor.py: ``python -m tests.yihu.supervised HOME``.

Each process writes its pid when it is up and notes when it ends; ``second`` needs 0.3 s until it is ready.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from core.settings import load
from yihu.child import Spec
from yihu.journal import Journal
from yihu.runstate import RunState
from yihu.supervisor import Supervisor

CODE = """
import os, signal, sys, time
from pathlib import Path
from yihu.service import end_with_supervisor
end_with_supervisor()
name, home = sys.argv[1], Path(sys.argv[2])
def note(text):
    with (home / "notes").open("a") as file:
        file.write(f"{name} {text}\\n")
def end(*_):
    note("ends")
    (home / name).unlink()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("starts")
print("hello from", name, flush=True)
time.sleep(0.3 if name == "second" else 0)
(home / name).write_text(str(os.getpid()))
time.sleep(60)
"""


def main() -> None:
    home = Path(sys.argv[1])
    settings = load(home=home, drain_seconds=0)
    state = RunState(settings)
    lock = state.take_lock()
    if lock is None:
        sys.exit(7)
    specs = [
        Spec(name, (sys.executable, "-c", CODE, name, str(home)), partial((home / name).exists))
        for name in ("first", "second", "third")
    ]
    journal = Journal(home / "log" / "yihu.log")
    Supervisor(settings, state, journal, specs).run(lambda: (home / "all-ready").touch())
    journal.close()


main()
