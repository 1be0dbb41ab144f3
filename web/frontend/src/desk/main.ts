// The desk: buttons and keys on one side, phone and server on the other.

import { part, show, word } from "./dom";
import { Phone } from "./phone";
import { RingTone } from "./ring";
import { follow, post, Trouble, whenSignedOut } from "./server";
import { TicketForm } from "./ticket";
import type { DeskState, PhoneAccount } from "./types";
import { View } from "./view";

const AUTO = "yihu.autoAnswer";
const RETRY_MS = 5000;
const ring = new RingTone();
const ticket = new TicketForm();
const phone = new Phone(part<HTMLAudioElement>("remote-audio"), phoneChanged);
const view = new View(phone);
let wanted = false; // whether this page should have a registered phone
let expired = false; // whether the server no longer knows who we are
const running = new Set<string>(); // what was pressed and is not yet answered

declare global {
  interface Window {
    yihuPhone: {
      readonly registered: boolean;
      readonly ringing: boolean;
      readonly talking: boolean;
      readonly remoteStream: MediaStream | null;
    };
  }
}

window.yihuPhone = {
  get registered() {
    return phone.state === "ready";
  },
  get ringing() {
    return phone.call === "incoming";
  },
  get talking() {
    return phone.call === "talking";
  },
  get remoteStream() {
    return phone.remote;
  },
};

function phoneChanged(): void {
  if (phone.call === "incoming") {
    ring.start();
    if (localStorage.getItem(AUTO) === "1") {
      phone.answer();
    }
  } else {
    ring.stop();
  }
  if (phone.call !== "talking") {
    show("keypad-panel", false);
    part("keypad").setAttribute("aria-expanded", "false");
  }
  view.draw();
  if (phone.call === "none") {
    leaveIfExpired();
    stopIfUnwanted();
  }
}

function stateChanged(state: DeskState): void {
  if (expired) {
    expired = false;
    view.notice("");
  }
  view.take(state);
  ticket.show(state.call);
  if (state.agent.state === "offline") {
    wanted = running.has("sign-in");
    stopIfUnwanted();
  } else if (!wanted) {
    // The page was loaded (again) by somebody who is signed in: the phone needs a new password.
    wanted = true;
    void act("phone", registerAgain);
  }
}

/** Signed out during a call: the phone goes after it. */
function stopIfUnwanted(): void {
  if (!wanted && phone.state !== "off" && phone.call === "none") {
    phone.stop();
  }
}

/** Leaving for the log-in page would end a conversation and lose what was typed. */
function leaveIfExpired(): void {
  if (expired && phone.call === "none" && !ticket.unsaved) {
    window.location.assign("/login?next=/desk");
  }
}

async function act(name: string, work: () => Promise<unknown>): Promise<void> {
  if (running.has(name)) {
    return; // pressed twice
  }
  running.add(name);
  try {
    view.notice("");
    await work();
  } catch (problem) {
    view.notice(expired ? word("expired") : (problem instanceof Trouble && problem.message) || word("server-away"));
  } finally {
    running.delete(name);
  }
}

/** No call is offered to an agent who could not be heard: the microphone comes first. */
async function register(path: string): Promise<void> {
  wanted = true;
  if (!(await phone.microphone())) {
    view.notice(word("microphone-help"));
    return;
  }
  phone.start((await post<{ phone: PhoneAccount }>(path)).phone);
}

async function registerAgain(): Promise<void> {
  try {
    await register("/desk/phone");
  } catch (problem) {
    window.setTimeout(() => wanted && phone.state === "off" && void act("phone", registerAgain), RETRY_MS);
    throw problem;
  }
}

async function hold(): Promise<void> {
  const on = !view.onHold;
  await post("/desk/hold", { call_id: view.callId, on });
  phone.hold(on);
}

const buttons: Record<string, () => void> = {
  "sign-in": () => void act("sign-in", () => register("/desk/sign-in")),
  "sign-out": () => void act("sign-out", () => post("/desk/sign-out")),
  ready: () => void act("ready", () => post("/desk/ready")),
  break: () => void act("break", () => post("/desk/break", { reason: part<HTMLSelectElement>("break-reason").value })),
  answer: () => phone.answer(),
  reject: () => phone.reject(),
  "hang-up": () => phone.hangUp(),
  mute: () => phone.mute(!phone.muted),
  hold: () => void act("hold", hold),
  keypad: () => {
    const panel = part("keypad-panel");
    panel.hidden = !panel.hidden;
    part("keypad").setAttribute("aria-expanded", String(!panel.hidden));
  },
};

for (const [testid, press] of Object.entries(buttons)) {
  part(testid).addEventListener("click", press);
}
for (const key of "0123456789*#") {
  part(`key-${key}`).addEventListener("click", () => phone.key(key));
}

const shortcuts: Record<string, string> = {
  KeyA: "answer",
  KeyJ: "reject",
  KeyH: "hang-up",
  KeyM: "mute",
  KeyO: "hold",
  KeyK: "keypad",
  KeyR: "ready",
  KeyB: "break",
};

document.addEventListener("keydown", (event) => {
  const testid = event.code === "F2" ? "answer" : event.altKey ? shortcuts[event.code] : undefined;
  if (testid) {
    event.preventDefault();
    const button = part<HTMLButtonElement>(testid);
    if (!button.disabled && button.offsetParent !== null) {
      button.click();
    }
  } else if (event.altKey && event.code === "KeyT") {
    event.preventDefault();
    part("ticket-title").focus();
  }
});

const auto = part<HTMLInputElement>("auto-answer");
auto.checked = localStorage.getItem(AUTO) === "1";
auto.addEventListener("change", () => localStorage.setItem(AUTO, auto.checked ? "1" : "0"));

window.addEventListener("beforeunload", (event) => {
  if (phone.call === "answering" || phone.call === "talking" || ticket.unsaved) {
    event.preventDefault();
  }
});

// A look at another page must not end the call: it opens beside this one.
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>("a[href]") : null;
  if (link && phone.call !== "none" && link.pathname !== window.location.pathname) {
    link.target = "_blank";
    link.rel = "noopener";
  }
});

whenSignedOut(() => {
  expired = true;
  view.notice(word("expired"));
  leaveIfExpired();
});
view.draw();
follow(stateChanged, (up) => view.link(up));
