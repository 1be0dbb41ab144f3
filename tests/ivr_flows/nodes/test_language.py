from __future__ import annotations

from ivr_flows.nodes.language import Language
from tests.ivr_flows.scripted import ListTrace, ScriptedLine, call


def test_sets_the_language_and_traces_it() -> None:
    trace = ListTrace()
    here = call(ScriptedLine(), trace)
    assert (here.language, here.spoken) == ("zh", ("zh", "ug"))
    assert Language(type="language", language="ug").run(here) == "done"
    assert (here.language, here.spoken) == ("ug", ("ug",))
    assert trace.events == [("language", "ug")]
