// The ticket form: saved by itself while one types, submitted by the button.

import { part, text, when, word } from "./dom";
import { post, Trouble } from "./server";
import type { CallInfo } from "./types";

const SAVE_AFTER_MS = 1000;
const RETRY_MS = 3000;
const FIELDS = {
  type: "ticket-type",
  title: "ticket-title",
  content: "ticket-content",
  contact_phone: "ticket-contact",
  urgency: "ticket-urgency",
  county: "ticket-county",
  place: "ticket-place",
} as const;
type Field = keyof typeof FIELDS;
type Values = Record<Field, string>;
type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

interface Ticket {
  callId: string;
  version: number;
  submitted: boolean;
}

export class TicketForm {
  private ticket: Ticket = { callId: "", version: 0, submitted: false };
  private timer = 0;
  private changed = false; // typed, and not yet on its way
  private waiting = 0; // on their way, or to be tried again
  private saving: Promise<void> = Promise.resolve();

  constructor() {
    const form = part<HTMLFormElement>("ticket-form");
    form.addEventListener("input", () => this.soon());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save(true);
    });
  }

  /** Whether the server still lacks something that was typed. */
  get unsaved(): boolean {
    return this.changed || this.waiting > 0;
  }

  /** Show the ticket of this call; what is being typed for the same call is left alone. */
  show(call: CallInfo | null): void {
    const id = call?.call_id ?? "";
    if (id !== this.ticket.callId && this.changed) {
      this.save(false); // before the form is emptied or locked
    }
    if (call && id !== this.ticket.callId) {
      this.fill(call);
    }
    part<HTMLFieldSetElement>("ticket-fields").disabled = !id || this.ticket.submitted;
  }

  private fill(call: CallInfo): void {
    const { draft } = call;
    this.ticket = { callId: call.call_id, version: draft?.version ?? 0, submitted: draft?.submitted ?? false };
    part<HTMLFormElement>("ticket-form").reset();
    if (draft) {
      for (const name of Object.keys(FIELDS) as Field[]) {
        this.control(name).value = draft[name];
      }
    } else {
      this.control("contact_phone").value = call.caller_number;
    }
    text("ticket-status", draft ? `${word("ticket")} ${draft.ticket_no}` : "");
  }

  private control(name: Field): Control {
    return part(FIELDS[name]) as Control;
  }

  private values(): Values {
    const names = Object.keys(FIELDS) as Field[];
    return Object.fromEntries(names.map((name) => [name, this.control(name).value])) as Values;
  }

  private soon(): void {
    this.changed = true;
    text("ticket-status", word("unsaved"));
    this.saveIn(SAVE_AFTER_MS);
  }

  private saveIn(wait: number): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.save(false), wait);
  }

  private save(submit: boolean): void {
    window.clearTimeout(this.timer);
    this.changed = false;
    this.queue(this.ticket, this.values(), submit);
  }

  /** One after the other: each save needs the version that the one before gave. */
  private queue(ticket: Ticket, values: Values, submit: boolean): void {
    this.waiting += 1;
    this.saving = this.saving.then(async () => {
      await this.send(ticket, values, submit);
      this.waiting -= 1;
    });
  }

  private async send(ticket: Ticket, values: Values, submit: boolean): Promise<void> {
    if (!ticket.callId || ticket.submitted) {
      return;
    }
    const body = { ...values, call_id: ticket.callId, version: ticket.version, submit };
    try {
      const saved = await post<{ ticket_no: string; version: number; saved_at: string }>("/desk/ticket", body);
      ticket.version = saved.version;
      ticket.submitted = submit;
      if (ticket === this.ticket) {
        part<HTMLFieldSetElement>("ticket-fields").disabled ||= submit;
        text("ticket-status", `${word(submit ? "submitted" : "saved")} ${saved.ticket_no} ${when(saved.saved_at)}`);
      }
    } catch (problem) {
      this.failed(problem, ticket, values);
    }
  }

  /** What the server refuses, the agent must put right; what it did not take for now is tried again as a draft. */
  private failed(problem: unknown, ticket: Ticket, values: Values): void {
    const trouble = problem instanceof Trouble ? problem : new Trouble(0, "");
    const later = trouble.status === 0 || trouble.status === 401 || trouble.status === 429 || trouble.status >= 500;
    if (ticket === this.ticket) {
      text("ticket-status", later ? word("not-saved") : trouble.message);
      if (later && !this.changed) {
        this.changed = true;
        this.saveIn(RETRY_MS);
      }
    } else if (later) {
      this.waiting += 1;
      window.setTimeout(() => {
        this.waiting -= 1;
        this.queue(ticket, values, false);
      }, RETRY_MS);
    }
  }
}
