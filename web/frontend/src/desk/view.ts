// Putting the state of agent, phone and call on the page.

import { clock, enable, part, pressed, show, stateWord, text, when, word } from "./dom";
import type { Phone } from "./phone";
import type { AgentState, CallInfo, DeskState } from "./types";

const ON_CALL: AgentState[] = ["reserved", "ringing", "talking"];

export class View {
  private state: DeskState | null = null;
  private readonly title = document.title;
  private skew = 0; // server's clock minus ours, in ms

  constructor(private readonly phone: Phone) {
    window.setInterval(() => this.times(), 500);
  }

  take(state: DeskState): void {
    this.state = state;
    this.skew = Date.parse(state.server_time) - Date.now();
    this.reasons(state);
    this.draw();
  }

  get callId(): string {
    return this.call()?.call_id ?? "";
  }

  get onHold(): boolean {
    return this.call()?.on_hold ?? false;
  }

  draw(): void {
    const { phone, state } = this;
    const agent = state?.agent.state ?? "offline";
    const root = part("desk-root");
    root.dataset.agentState = agent;
    root.dataset.phone = phone.state;
    root.dataset.call = phone.call;
    const talking = phone.call === "talking" || phone.call === "answering";
    const wrapUp = agent === "wrap_up" && !talking;
    text("agent-state", stateWord(agent) + (state?.agent.wish ? `（${word("after-call")}）` : ""));
    text("phone-state", word(`phone-${phone.state}`));
    show("sign-in", agent === "offline");
    show("sign-out", agent !== "offline");
    show("ready", agent === "break" || agent === "wrap_up");
    text("ready", word(agent === "wrap_up" ? "finish-wrap-up" : "be-ready"));
    show("break-form", agent !== "offline");
    show("incoming", phone.call === "incoming");
    text("incoming-number", this.number() || word("withheld"));
    show("call-panel", talking || wrapUp);
    text("call-number", this.number() || word("withheld"));
    show("call-buttons", talking);
    show("wrap-up", wrapUp);
    enable("hang-up", talking);
    enable("mute", phone.call === "talking");
    enable("keypad", phone.call === "talking");
    enable("hold", phone.call === "talking" && agent === "talking" && this.callId !== "");
    pressed("mute", phone.muted);
    pressed("hold", this.onHold);
    show("idle", phone.call === "none" && !wrapUp);
    text("idle-text", word(`idle-${agent === "offline" ? "offline" : agent === "break" ? "break" : "waiting"}`));
    this.caller(this.call());
    document.title = phone.call === "incoming" ? `● ${word("incoming")} ${this.number()}` : this.title;
    this.times();
  }

  link(up: boolean): void {
    part("desk-root").dataset.link = up ? "up" : "down";
    show("link-state", !up);
  }

  notice(message: string): void {
    text("notice", message);
    show("notice", message !== "");
  }

  /** The server's call, unless the phone has another: one that reached us while the server was away. */
  private call(): CallInfo | null {
    const { state, phone } = this;
    return state && (phone.call === "none" || ON_CALL.includes(state.agent.state)) ? state.call : null;
  }

  private number(): string {
    return this.phone.number || (this.call()?.caller_number ?? "");
  }

  private now(): number {
    return Date.now() + this.skew;
  }

  private times(): void {
    const { state } = this;
    const connected = this.call()?.connected_at;
    const from = connected ? Date.parse(connected) : this.phone.since + this.skew;
    text("call-timer", this.phone.call === "talking" ? clock((this.now() - from) / 1000) : "");
    if (state?.agent.until) {
      text("wrap-up-left", clock((Date.parse(state.agent.until) - this.now()) / 1000));
    }
    if (state) {
      text("state-since", clock((this.now() - Date.parse(state.agent.since)) / 1000));
    }
  }

  private reasons(state: DeskState): void {
    const select = part<HTMLSelectElement>("break-reason");
    if (select.options.length === 0) {
      select.append(...state.break_reasons.map(({ id, text: name }) => new Option(name, id)));
    }
  }

  private caller(call: CallInfo | null): void {
    show("caller", call !== null);
    const rows = (call?.history ?? []).map((row) =>
      item(row.url, when(row.started_at), `${row.outcome_text} ${row.agent_name}`),
    );
    part("history-list").replaceChildren(...(rows.length ? rows : [none(word("no-history"))]));
    const tickets = (call?.tickets ?? []).map((row) =>
      item(row.url, when(row.created_at), `${row.type_text} ${row.title} ${row.state_text}`),
    );
    part("tickets-list").replaceChildren(...(tickets.length ? tickets : [none(word("no-tickets"))]));
    text("call-language", call ? word(`language-${call.language}`) : "");
  }
}

function item(url: string, time: string, words: string): HTMLElement {
  const row = document.createElement("a");
  row.className = "list-group-item list-group-item-action d-flex gap-3";
  row.href = url;
  row.target = "_blank";
  row.rel = "noopener";
  const first = document.createElement("span");
  first.className = "text-secondary number";
  first.textContent = time;
  const second = document.createElement("span");
  second.textContent = words;
  row.append(first, second);
  return row;
}

function none(words: string): HTMLElement {
  const row = document.createElement("div");
  row.className = "list-group-item text-secondary";
  row.textContent = words;
  return row;
}
