// The browser phone (JsSIP). It works by itself: with the web app down a call can still be answered and ended.
//
// When the page goes away nothing is sent: no BYE, no un-REGISTER. The telephone side then sees a lost phone, not an
// agent who hung up, and gives the caller to the next agent.

import JsSIP from "jssip";
import type { RTCSession } from "jssip/lib/RTCSession";
import type { PhoneAccount } from "./types";

export type PhoneState = "off" | "connecting" | "ready" | "lost" | "taken" | "microphone";
export type CallState = "none" | "incoming" | "answering" | "talking";

const GATHER_MS = 400; // on one network the local candidates are there at once
const RETRY_MS = 3000;
const TAKEN_RETRY_MS = 15000; // the same password again: pages that asked for new ones would fight over the phone
const REFUSED = [401, 403, 404]; // another page of this agent has a newer password, or the phone was removed

export class Phone {
  state: PhoneState = "off";
  call: CallState = "none";
  /** What the telephone side says about the caller; empty for a withheld number. */
  number = "";
  /** When the present conversation began (ms of this computer's clock); 0 outside of one. */
  since = 0;
  muted = false;
  remote: MediaStream | null = null;
  private ua: JsSIP.UA | null = null;
  private session: RTCSession | null = null;
  private held = false;
  private retry = 0;

  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly changed: () => void,
  ) {}

  /** Register with this account; the registration before is forgotten without a word. */
  start(account: PhoneAccount): void {
    this.stop();
    this.set("connecting");
    const ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(account.ws_url)],
      uri: `sip:${account.user}@${account.domain}`,
      authorization_user: account.user,
      password: account.password,
      register: true,
      register_expires: 60,
      session_timers: false,
      connection_recovery_min_interval: 1,
      connection_recovery_max_interval: 8,
    });
    // A phone that was stopped still ends its own affairs: what it says then is not about the present one.
    const present = (): boolean => this.ua === ua;
    ua.on("registered", () => present() && this.set("ready"));
    ua.on("registrationFailed", (event: { response: { status_code: number } | null }) => {
      if (present()) {
        const taken = REFUSED.includes(event.response?.status_code ?? 0);
        this.set(taken ? "taken" : "lost");
        this.again(ua, taken ? TAKEN_RETRY_MS : RETRY_MS);
      }
    });
    ua.on("disconnected", () => present() && this.set("lost"));
    ua.on("connecting", () => present() && this.state !== "ready" && this.set("connecting"));
    ua.on("newRTCSession", (event: { originator: string; session: RTCSession }) => {
      if (event.originator === "remote") {
        this.incoming(event.session);
      }
    });
    this.ua = ua;
    ua.start();
  }

  stop(): void {
    window.clearTimeout(this.retry);
    const ua = this.ua;
    this.ua = null;
    ua?.stop();
    this.set("off");
  }

  /** Whether there is a microphone that this page may use; asks the agent if need be. */
  async microphone(): Promise<boolean> {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      stream.getTracks().forEach((track) => track.stop());
      return true;
    } catch {
      // Refused, none there, or neither HTTPS nor localhost (then there is no mediaDevices).
      this.set("microphone");
      return false;
    }
  }

  answer(): void {
    if (this.call !== "incoming" || !this.session) {
      return;
    }
    this.setCall("answering");
    this.session.answer({ mediaConstraints: { audio: true, video: false }, pcConfig: { iceServers: [] } });
  }

  reject(): void {
    if (this.call === "incoming") {
      this.session?.terminate({ status_code: 486 });
    }
  }

  hangUp(): void {
    this.session?.terminate();
  }

  mute(on: boolean): void {
    this.muted = on;
    this.silence();
  }

  /** While the caller hears music, nothing of the agent's room goes out; what was muted before stays so. */
  hold(on: boolean): void {
    this.held = on;
    this.silence();
  }

  key(key: string): void {
    this.session?.sendDTMF(key, { transportType: "RFC2833" as never });
  }

  private silence(): void {
    if (this.muted || this.held) {
      this.session?.mute({ audio: true });
    } else {
      this.session?.unmute({ audio: true });
    }
    this.changed();
  }

  /** JsSIP registers again by itself after a lost connection, but not after a refused or unanswered REGISTER. */
  private again(ua: JsSIP.UA, wait: number): void {
    window.clearTimeout(this.retry);
    this.retry = window.setTimeout(() => {
      if (this.ua === ua && ua.isConnected() && !ua.isRegistered()) {
        ua.register();
      }
    }, wait);
  }

  private incoming(session: RTCSession): void {
    if (this.session) {
      session.terminate({ status_code: 486 });
      return;
    }
    this.session = session;
    const user = session.remote_identity.uri.user ?? "";
    this.number = /^[0-9+*#]+$/.test(user) ? user : "";
    session.on("peerconnection", (event: { peerconnection: RTCPeerConnection }) => this.listen(event.peerconnection));
    session.on("icecandidate", (event: { ready: () => void }) => window.setTimeout(event.ready, GATHER_MS));
    session.on("getusermediafailed", () => this.set("microphone"));
    session.on("confirmed", () => {
      this.since = Date.now();
      if (this.state === "microphone") {
        this.set(this.ua?.isRegistered() ? "ready" : "connecting");
      }
      this.setCall("talking");
    });
    session.on("ended", () => this.over());
    session.on("failed", () => this.over());
    this.setCall("incoming");
  }

  private listen(connection: RTCPeerConnection): void {
    connection.addEventListener("track", (event) => {
      this.remote = event.streams[0] ?? new MediaStream([event.track]);
      this.audio.srcObject = this.remote;
      void this.audio.play().catch(() => undefined);
    });
  }

  private over(): void {
    this.session = null;
    this.remote = null;
    this.audio.srcObject = null;
    this.muted = false;
    this.held = false;
    this.number = "";
    this.since = 0;
    this.setCall("none");
  }

  private set(state: PhoneState): void {
    this.state = state;
    this.changed();
  }

  private setCall(call: CallState): void {
    this.call = call;
    this.changed();
  }
}
