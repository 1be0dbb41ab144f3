"""Where call control meets phones: the fake switch, or a real Asterisk with phones of our own over WebSocket."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from agi.ami import AmiClient
from agi.control import AmiCallControl
from routing.control import room_name
from tests.contracts.asterisk import RealAsterisk
from tests.contracts.phone import WsPhone
from tests.fake_asterisk import FakeAmi


class Phone(Protocol):
    """A registered phone."""

    name: str

    def rings(self) -> bool: ...

    def answer(self) -> None: ...

    def reject(self, status: str = "603 Decline") -> None: ...

    def hang_up(self) -> None: ...

    def was_cancelled(self) -> bool: ...

    def caller(self) -> str: ...


class Exchange(Protocol):
    ami: AmiClient
    control: AmiCallControl

    def phone(self, name: str) -> Phone:
        """A phone that has been provisioned and has registered."""
        ...

    def caller(self, call_id: str) -> None:
        """A caller with this call id stands in the call's room."""
        ...

    def break_link(self) -> None:
        """The manager link breaks now; it comes back by itself."""
        ...

    def lose_audio(self, phone: Phone) -> None:
        """No audio comes from the phone any more."""
        ...

    def queue_members(self) -> dict[str, bool]:
        """Members of the fallback queue → paused."""
        ...


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


class FakePhone:
    def __init__(self, fake: FakeAmi, name: str) -> None:
        self._fake, self.name = fake, name
        self._fake.switch.phones.add(name)

    def rings(self) -> bool:
        return any(leg.phone == self.name for leg in list(self._fake.switch.legs.values()))

    def answer(self) -> None:
        self._fake.switch.answer(self.name)

    def reject(self, status: str = "603 Decline") -> None:
        self._fake.switch.refuse(self.name, {"486": "17", "480": "19"}.get(status[:3], "21"))

    def hang_up(self) -> None:
        self._fake.switch.leave(self.name)

    def was_cancelled(self) -> bool:
        return not self.rings()

    def caller(self) -> str:
        return self._fake.sent("Originate")[-1]["CallerID"]


class FakeExchange:
    def __init__(self) -> None:
        self.fake = FakeAmi().start()
        self.ami = AmiClient("127.0.0.1", self.fake.port, "yihu", "secret")
        self.ami.start()
        assert self.ami.wait_ready(5)
        self.control = AmiCallControl(self.ami)

    def phone(self, name: str) -> Phone:
        self.control.provision_phone(name, "pw")
        return FakePhone(self.fake, name)

    def caller(self, call_id: str) -> None:
        self.fake.switch.add_channel(call_id, "PJSIP/trunk-00000001", room_name(call_id))

    def break_link(self) -> None:
        self.fake.disconnect()

    def lose_audio(self, phone: Phone) -> None:
        self.fake.switch.lose(phone.name)

    def queue_members(self) -> dict[str, bool]:
        return dict(self.fake.switch.queue)

    def close(self) -> None:
        self.control.close()
        self.ami.stop()
        self.fake.stop()


class RealPhone(WsPhone):
    def rings(self) -> bool:
        return self.rung

    def was_cancelled(self) -> bool:
        return self.cancelled

    def caller(self) -> str:
        return self.caller_shown


class RealExchange:
    def __init__(self, asterisk: RealAsterisk, ami: AmiClient) -> None:
        self.asterisk, self.ami = asterisk, ami
        self.control = AmiCallControl(ami)
        self._phones: list[RealPhone] = []

    def phone(self, name: str) -> Phone:
        self.control.provision_phone(name, f"pw-{name}")
        phone = RealPhone(self.asterisk.settings.phone_ws_url, name, f"pw-{name}")
        self._phones.append(phone)
        assert phone.register() == "200 OK"
        wait_until(lambda: name in self.control.presence().phones)
        return phone

    def caller(self, call_id: str) -> None:
        answered = self.ami.action(
            "Originate",
            Channel="Local/script@contract-caller/n",
            Variable=["STAY=60"],
            ChannelId=call_id,
            Application="ConfBridge",
            Data=f"{room_name(call_id)},yihu_room,yihu_caller",
            Timeout=5000,
        )
        assert answered.success, answered.message
        wait_until(lambda: room_name(call_id) in self.control.presence().rooms)

    def break_link(self) -> None:
        assert self.ami._loop is not None
        assert self.ami._wire is not None
        self.ami._loop.call_soon_threadsafe(self.ami._wire.close)
        wait_until(lambda: not self.ami.ready)

    def lose_audio(self, phone: Phone) -> None:
        assert isinstance(phone, RealPhone)
        phone.vanish()

    def queue_members(self) -> dict[str, bool]:
        status = self.ami.action("QueueStatus", Queue="fallback")
        return {event["Location"]: event["Paused"] == "1" for event in status.events if event.name == "QueueMember"}

    def close(self) -> None:
        for phone in self._phones:
            phone.vanish()
            self.control.remove_phone(phone.name)
        self.control.close()
