"""Call control over the manager interface: implements ``routing.control.CallControl``.

Nothing here polls: a ring's state comes from events, and from a comparison with Asterisk after events were lost.
Everything that is asked of Asterisk may be asked twice.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

from agi.ami import AmiClient, AmiEvent, AmiResponse
from agi.errors import BadArgument
from agi.phones import BROWSER, CONTACTS, FAMILY, PhoneTemplate
from agi.ring import CAUSE_LOST, AmiRing, Rings
from core import log
from core.errors import Unavailable
from routing.control import Presence, room_name

FALLBACK_QUEUE = "fallback"
ROOM_PROFILE = "yihu_room"
MUSIC_PROFILE = "yihu_caller"  # leaves with the last marked party, as the caller does: music never outlasts the talk
EVENTS = ("Newchannel", "OriginateResponse", "HangupRequest", "Hangup")
YOUNG_SECONDS = 2.0  # a leg this young may not have its channel yet

_CALL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}")
_PHONE = re.compile(r"[a-z][a-z0-9]{0,39}")


class AmiCallControl:
    """``phone``: what kind of phones ``provision_phone`` makes. ``close`` when done."""

    def __init__(self, ami: AmiClient, *, phone: PhoneTemplate = BROWSER) -> None:
        self._ami, self._template = ami, phone
        self._rings = Rings(lambda channel: self._ami.post("Hangup", Channel=channel))
        self._overflowed = 0
        self._log = log.get("control")
        self._events = ami.subscribe(*EVENTS, callback=self._on_event, size=10_000)
        ami.on_connect(self._on_connect)

    def close(self) -> None:
        """Hear no more events; rings stay as they are."""
        self._events.close()

    # -- phones --

    def provision_phone(self, phone: str, password: str) -> None:
        """Create the phone, or give it a new password: it can register at once."""
        for kind, row in self._template.rows(_checked(_PHONE, phone), password).items():
            self._must(self._ami.action("DBPut", Family=f"{FAMILY}/{kind}", Key=phone, Val=row), "create the phone")

    def remove_phone(self, phone: str) -> None:
        """The phone's registration and account end; a call on it goes on."""
        _checked(_PHONE, phone)
        for kind in ("endpoint", "aor", "auth"):
            self._ami.action("DBDel", Family=f"{FAMILY}/{kind}", Key=phone)
        for contact in self._contacts():
            if contact["ObjectName"].startswith(f"{phone};"):
                self._ami.action("DBDel", Family=CONTACTS, Key=contact["ObjectName"])

    # -- ringing --

    def ring(self, phone: str, call_id: str, caller_number: str, seconds: float) -> AmiRing:
        """Ring a phone for ``seconds``; when it is answered, it stands in the call's room as a marked party."""
        _checked(_PHONE, phone)
        channel = f"leg-{_checked(_CALL_ID, call_id)}-{phone}-{secrets.token_hex(4)}"
        ring = AmiRing(channel, seconds, self._ami.generation, self._hang_up_channel, self._compare)
        self._rings.add(ring)
        try:
            response = self._ami.action(
                "Originate",
                Channel=f"PJSIP/{phone}",
                ChannelId=channel,
                Context="agent-leg",
                Exten="s",
                Priority=1,
                Timeout=max(1, round(seconds * 1000)),
                CallerID=_caller_id(caller_number),
                Variable=[f"YIHU_CALL_ID={call_id}"],
                Async=True,
            )
            self._must(response, "ring the phone")
        except Unavailable:
            self._take_back(ring)
            raise
        return ring

    def _take_back(self, ring: AmiRing) -> None:
        """We do not know whether the phone rings: if it does, it must stop."""
        try:
            ring.cancel()
        except Unavailable:
            self._log.warning("ring not taken back yet", channel=ring.channel)

    def _hang_up_channel(self, channel: str) -> None:
        self._ami.action("Hangup", Channel=channel)  # that it does not exist (any more) is fine

    def _on_event(self, event: AmiEvent) -> None:
        self._rings.take(event)
        if self._events.overflowed != self._overflowed:
            self._overflowed = self._events.overflowed
            self._log.error("events lost", count=self._overflowed)
            self._compare()

    def _on_connect(self) -> None:
        """Events were lost while the link was down."""
        generation = self._ami.generation
        if len(self._rings):
            states = self._channel_states()
            self._rings.compare(states, which=lambda ring: ring.generation < generation)

    def _compare(self) -> None:
        """Events may have been lost. Raises Unavailable."""
        self._rings.compare(self._channel_states(), which=lambda ring: ring.age > YOUNG_SECONDS)

    def _channel_states(self) -> dict[str, str]:
        listed = self._ami.action("CoreShowChannels")
        self._must(listed, "list the channels")
        return {event["Uniqueid"]: event["ChannelState"] for event in listed.events}

    # -- calls and rooms --

    def hang_up(self, call_id: str) -> None:
        """End the whole call: the caller's channel and the room."""
        self._hang_up_channel(_checked(_CALL_ID, call_id))
        self.close_room(call_id)

    def close_room(self, call_id: str) -> None:
        """Take everybody out of the call's room."""
        self._ami.action("ConfbridgeKick", Conference=room_name(_checked(_CALL_ID, call_id)), Channel="all")

    def remove_party(self, call_id: str, phone: str) -> None:
        """Take one phone out of the call's room; hold music that it asked for ends with it."""
        self._stop_music(call_id)
        for channel in self._in_room(call_id, phone):
            self._ami.action("ConfbridgeKick", Conference=room_name(call_id), Channel=channel)

    def drop_lost(self, call_id: str, phone: str) -> None:
        """The phone has vanished: end its leg so that its Ring.left tells LOST, in whichever process it is."""
        for channel in self._in_room(call_id, phone):
            self._ami.action("Hangup", Channel=channel, Cause=CAUSE_LOST)

    def hold(self, call_id: str, phone: str, on: bool) -> None:
        """On: the caller hears music and neither hears the other. Off: they talk again."""
        channels = list(self._in_room(call_id, phone))
        if on and channels and not self._has_music(call_id):
            self._ami.action(
                "Originate",
                Channel="Local/s@hold-music/n",
                ChannelId=_music(call_id),
                Application="ConfBridge",
                Data=f"{room_name(call_id)},{ROOM_PROFILE},{MUSIC_PROFILE}",
                Variable=[f"YIHU_CALL_ID={call_id}"],
                Timeout=2000,
            )  # not async: a quick "off" must find the music that it is to stop
        elif not on:
            self._stop_music(call_id)
        for channel in channels:
            self._ami.action("MuteAudio", Channel=channel, Direction="all", State="on" if on else "off")

    def _has_music(self, call_id: str) -> bool:
        return any(event["Uniqueid"] == _music(call_id) for event in self._parties(room_name(call_id)))

    def _stop_music(self, call_id: str) -> None:
        self._hang_up_channel(_music(_checked(_CALL_ID, call_id)))

    def _in_room(self, call_id: str, phone: str) -> Iterator[str]:
        prefix = f"PJSIP/{_checked(_PHONE, phone)}-"
        for event in self._parties(room_name(_checked(_CALL_ID, call_id))):
            if event["Channel"].startswith(prefix):
                yield event["Channel"]

    def _parties(self, room: str) -> tuple[AmiEvent, ...]:
        return self._ami.action("ConfbridgeList", Conference=room).events  # no such room: an empty list

    # -- Asterisk's own queue --

    def fallback_member(self, phone: str, *, present: bool, paused: bool = False) -> None:
        """Keep Asterisk's own queue in step, so that callers reach agents even with our programs down."""
        ami, queue, member = self._ami, FALLBACK_QUEUE, f"PJSIP/{_checked(_PHONE, phone)}"
        if not present:
            self._already(ami.action("QueueRemove", Queue=queue, Interface=member), "Not there")
            return
        added = ami.action("QueueAdd", Queue=queue, Interface=member, MemberName=phone, Paused=paused)
        self._already(added, "Already there")
        self._must(ami.action("QueuePause", Queue=queue, Interface=member, Paused=paused), "pause the queue member")

    # -- looking --

    def presence(self) -> Presence:
        """What is going on right now in Asterisk."""
        rooms = {
            room["Conference"]: tuple(event["Channel"] for event in self._parties(room["Conference"]))
            for room in self._ami.action("ConfbridgeListRooms").events
        }
        phones = frozenset(
            contact["ObjectName"].partition(";")[0]
            for contact in self._contacts()
            if contact["Status"] not in ("Unreachable", "Removed")
        )
        return Presence(frozenset(self._channel_states()), rooms, phones)

    def _contacts(self) -> tuple[AmiEvent, ...]:
        return self._ami.action("PJSIPShowContacts").events  # none at all is an error to Asterisk: an empty list

    def _must(self, response: AmiResponse, what: str) -> None:
        if not response.success:
            raise Unavailable(f"Asterisk would not {what}: {response.message}", id="asterisk-refused")

    def _already(self, response: AmiResponse, but: str) -> None:
        if but not in response.message:
            self._must(response, "change the fallback queue")


def _music(call_id: str) -> str:
    """Unique id of a room's hold music; the same for all processes, so that any can stop it."""
    return f"music-{call_id}"


def _caller_id(number: str) -> str:
    """A caller's number as it may be shown: digits, plus, star and pound."""
    digits = re.sub(r"[^0-9+*#]", "", number)[:40]
    return f"<{digits}>" if digits else "anonymous"


def _checked(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise BadArgument(f"{value[:40]!r} cannot name a call or a phone")
    return value
