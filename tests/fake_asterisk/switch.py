"""What stands behind the fake manager interface: channels, rooms, phones, the fallback queue and the database.

Events and messages are those of Asterisk 22.10 (held by tests/contracts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

Headers = dict[str, str]
Send = Callable[..., None]


class Action:
    """An action as it came in; a missing header is empty."""

    def __init__(self, **headers: str) -> None:
        self._headers: dict[str, list[str]] = {name.lower(): [value] for name, value in headers.items()}

    def add(self, name: str, value: str) -> None:
        self._headers.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._headers.get(name.lower(), [""])[0]

    def all(self, name: str) -> list[str]:
        return self._headers.get(name.lower(), [])

    def __repr__(self) -> str:
        return f"Action({self._headers})"


@dataclass
class Leg:
    """A channel."""

    uniqueid: str
    name: str
    state: str = "5"  # 5 ringing, 6 up
    phone: str = ""
    room: str = ""
    muted: bool = False


class Switch:
    """``phones``: registered ones. ``answers``: phone → what it does when rung ("answer", "reject", "busy"; else it
    rings on until the test says ``answer``, ``refuse`` or ``ring_out``)."""

    def __init__(self, event: Send, lock: AbstractContextManager[Any]) -> None:
        self._event, self._lock = event, lock
        self.phones: set[str] = set()
        self.answers: dict[str, str] = {}
        self.slow_channels = False  # channels come up only when the test calls ``bring_up``
        self.legs: dict[str, Leg] = {}
        self.database: dict[tuple[str, str], str] = {}
        self.queue: dict[str, bool] = {}  # member → paused
        self._later: list[Callable[[], None]] = []
        self._count = 0

    # -- for the test --

    def leg_of(self, phone: str) -> Leg:
        return next(leg for leg in self.legs.values() if leg.phone == phone)

    def add_channel(self, uniqueid: str, name: str, room: str = "") -> Leg:
        with self._lock:
            leg = self.legs[uniqueid] = Leg(uniqueid, name, "6", room=room)
            return leg

    def answer(self, phone: str) -> None:
        with self._lock:
            leg = self.leg_of(phone)
            leg.state, leg.room = "6", leg.room or "?"
            self._tell("Newstate", leg)
            self._event("OriginateResponse", Response="Success", Channel=leg.name, Reason="4", Uniqueid=leg.uniqueid)
            self._event("ConfbridgeJoin", Conference=leg.room, Channel=leg.name, Uniqueid=leg.uniqueid)

    def refuse(self, phone: str, cause: str = "21") -> None:
        with self._lock:
            leg = self.leg_of(phone)
            self._tell("HangupRequest", leg, Cause=cause)
            self._fail(leg, "0")
            self._gone(leg, cause)

    def ring_out(self, phone: str) -> None:
        with self._lock:
            leg = self.leg_of(phone)
            self._fail(leg, "3")
            self._gone(leg, "19")

    def leave(self, phone: str) -> None:
        """The party hangs up by itself."""
        with self._lock:
            leg = self.leg_of(phone)
            self._tell("HangupRequest", leg)
            self._gone(leg, "16")

    def lose(self, phone: str) -> None:
        """No audio comes from the phone any more."""
        with self._lock:
            leg = self.leg_of(phone)
            self._tell("SoftHangupRequest", leg, Cause="1")
            self._gone(leg, "44")

    def forget(self, uniqueid: str) -> None:
        """A channel ends while nobody listens."""
        with self._lock:
            del self.legs[uniqueid]

    def bring_up(self) -> None:
        with self._lock:
            later, self._later = self._later, []
            for work in later:
                work()

    # -- events --

    def _tell(self, name: str, leg: Leg, **headers: str) -> None:
        self._event(name, Channel=leg.name, ChannelState=leg.state, Uniqueid=leg.uniqueid, Linkedid="x", **headers)

    def _fail(self, leg: Leg, reason: str) -> None:
        self._event(
            "OriginateResponse",
            Response="Failure",
            Channel=f"PJSIP/{leg.phone}",
            Reason=reason,
            Uniqueid=leg.uniqueid,
        )

    def _gone(self, leg: Leg, cause: str) -> None:
        if leg.room:
            self._event("ConfbridgeLeave", Conference=leg.room, Channel=leg.name, Uniqueid=leg.uniqueid)
        self.legs.pop(leg.uniqueid, None)
        self._tell("Hangup", leg, Cause=cause)
        if leg.phone and not any(other.phone for other in self._parties(leg.room)):
            self._end_marked(leg.room)

    def _end_marked(self, room: str) -> None:
        """The last marked party has left: the others leave the room; music has nowhere to go."""
        for leg in self._parties(room):
            if leg.name.startswith("Local/"):
                self._gone(leg, "16")
            else:
                leg.room = ""

    # -- actions --

    def act(self, action: Action) -> Iterator[Headers]:
        """The answer, with its list."""
        handler = getattr(self, "_do_" + action["Action"].lower(), None)
        if handler is None:
            yield no(
                f"Invalid/unknown command: {action['Action']}. Use Action: ListCommands to show available commands."
            )
        else:
            yield from handler(action)

    def after(self) -> None:
        """What happens by itself once an action has been answered."""
        if not self.slow_channels:
            self.bring_up()

    def _do_ping(self, action: Action) -> Iterator[Headers]:
        yield {"Response": "Success", "Ping": "Pong", "Timestamp": "1.0"}

    def _do_logoff(self, action: Action) -> Iterator[Headers]:
        yield {"Response": "Goodbye", "Message": "Thanks for all the fish."}

    def _do_dbput(self, action: Action) -> Iterator[Headers]:
        self.database[action["Family"], action["Key"]] = action["Val"]
        yield yes("Updated database successfully")

    def _do_dbdel(self, action: Action) -> Iterator[Headers]:
        found = self.database.pop((action["Family"], action["Key"]), None) is not None
        yield yes("Key deleted successfully") if found else no("Database entry could not be deleted")

    def _do_dbget(self, action: Action) -> Iterator[Headers]:
        value = self.database.get((action["Family"], action["Key"]))
        if value is None:
            yield no("Database entry not found")
            return
        row = {"Event": "DBGetResponse", "Family": action["Family"], "Key": action["Key"], "Val": value}
        yield from listed("Result will follow", [row], "DBGetComplete")

    def _do_originate(self, action: Action) -> Iterator[Headers]:
        self._count += 1
        room = action["Data"].partition(",")[0] or "call-" + action["Variable"].partition("=")[2]
        target = action["Channel"]
        if any(leg.uniqueid == action["ChannelId"] for leg in self.legs.values()):
            yield no("Uniqueid not unique")
            return
        leg = Leg(action["ChannelId"], f"{target}-{self._count:08x}", room=room)
        if target.startswith("Local/"):
            leg.name, leg.state = f"{target.removesuffix('/n')}-{self._count:08x};1", "6"
            self._later.append(lambda: self._bring_up_local(leg))
        else:
            leg.phone = target.removeprefix("PJSIP/")
            self._later.append(lambda: self._ring(leg))
        yield yes("Originate successfully queued")

    def _bring_up_local(self, leg: Leg) -> None:
        self.legs[leg.uniqueid] = leg
        self._tell("Newchannel", leg)

    def _ring(self, leg: Leg) -> None:
        if leg.phone not in self.phones:
            self._fail(leg, "0")
            return
        self.legs[leg.uniqueid] = leg
        self._tell("Newchannel", leg)
        self._tell("Newstate", leg)
        answer = self.answers.get(leg.phone, "ring")
        if answer == "answer" and leg.uniqueid in self.legs:
            self.answer(leg.phone)
        elif answer in ("reject", "busy"):
            self.refuse(leg.phone, "21" if answer == "reject" else "17")

    def _do_hangup(self, action: Action) -> Iterator[Headers]:
        wanted = action["Channel"]
        leg = next((leg for leg in self.legs.values() if wanted in (leg.uniqueid, leg.name)), None)
        if leg is None:
            yield no("No such channel")
            return
        found = leg

        def end() -> None:
            if found.state != "6":
                self._fail(found, "0")
            self._gone(found, action["Cause"] or "16")

        self._later.insert(0, end)
        yield yes("Channel Hungup")

    def _do_coreshowchannels(self, action: Action) -> Iterator[Headers]:
        rows = [
            {
                "Event": "CoreShowChannel",
                "Channel": leg.name,
                "ChannelState": leg.state,
                "Uniqueid": leg.uniqueid,
                "Linkedid": leg.uniqueid,
            }
            for leg in self.legs.values()
        ]
        yield from listed("Channels will follow", rows, "CoreShowChannelsComplete")

    def _do_confbridgelistrooms(self, action: Action) -> Iterator[Headers]:
        rooms = sorted({leg.room for leg in self.legs.values() if leg.room and leg.state == "6"})
        if not rooms:
            yield no("No active conferences.")
            return
        rows = [{"Event": "ConfbridgeListRooms", "Conference": room, "Parties": "1"} for room in rooms]
        yield from listed("Confbridge conferences will follow", rows, "ConfbridgeListRoomsComplete")

    def _parties(self, room: str) -> list[Leg]:
        return [leg for leg in self.legs.values() if leg.room == room and leg.state == "6"]

    def _no_room(self, room: str) -> Headers | None:
        if any(leg.room and leg.state == "6" for leg in self.legs.values()):
            return None if self._parties(room) else no("No Conference by that name found.")
        return no("No active conferences.")

    def _do_confbridgelist(self, action: Action) -> Iterator[Headers]:
        room = action["Conference"]
        if (refusal := self._no_room(room)) is not None:
            yield refusal
            return
        rows = [
            {"Event": "ConfbridgeList", "Conference": room, "Channel": leg.name, "Uniqueid": leg.uniqueid}
            for leg in self._parties(room)
        ]
        yield from listed("Confbridge user list will follow", rows, "ConfbridgeListComplete")

    def _do_confbridgekick(self, action: Action) -> Iterator[Headers]:
        room, wanted = action["Conference"], action["Channel"]
        if (refusal := self._no_room(room)) is not None:
            yield refusal
            return
        kicked = [leg for leg in self._parties(room) if wanted in ("all", leg.name)]
        if not kicked:
            yield no("No Channel by that name found in Conference.")
            return
        self._later = [*(partial(self._gone, leg, "16") for leg in kicked), *self._later]
        yield yes("All participants kicked" if wanted == "all" else "User kicked")

    def _do_muteaudio(self, action: Action) -> Iterator[Headers]:
        for leg in self.legs.values():
            if leg.name == action["Channel"]:
                leg.muted = action["State"] == "on"
                yield {"Response": "Success"}
                return
        yield no("No such channel")

    def _do_pjsipshowcontacts(self, action: Action) -> Iterator[Headers]:
        if not self.phones:
            yield no("No Contacts found")
            return
        rows = [
            {
                "Event": "ContactList",
                "ObjectType": "contact",
                "ObjectName": f"{phone};@0123456789abcdef",
                "Status": "Reachable",
            }
            for phone in sorted(self.phones)
        ]
        yield from listed("A listing of Contacts follows, presented as ContactList events", rows, "ContactListComplete")

    def _do_queueadd(self, action: Action) -> Iterator[Headers]:
        if action["Interface"] in self.queue:
            yield no("Unable to add interface: Already there")
            return
        self.queue[action["Interface"]] = action["Paused"] == "true"
        yield yes("Added interface to queue")

    def _do_queueremove(self, action: Action) -> Iterator[Headers]:
        if self.queue.pop(action["Interface"], None) is None:
            yield no("Unable to remove interface: Not there")
            return
        yield yes("Removed interface from queue")

    def _do_queuepause(self, action: Action) -> Iterator[Headers]:
        if action["Interface"] not in self.queue:
            yield no("Interface not found")
            return
        self.queue[action["Interface"]] = action["Paused"] == "true"
        yield yes("Interface paused successfully" if action["Paused"] == "true" else "Interface unpaused successfully")


def yes(message: str) -> Headers:
    return {"Response": "Success", "Message": message}


def no(message: str) -> Headers:
    return {"Response": "Error", "Message": message}


def listed(message: str, rows: list[Headers], complete: str) -> Iterator[Headers]:
    yield {"Response": "Success", "EventList": "start", "Message": message}
    yield from rows
    yield {"Event": complete, "EventList": "Complete", "ListItems": str(len(rows))}
