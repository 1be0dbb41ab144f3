// What the server tells the desk (GET /desk/state and the stream).

export type AgentState = "offline" | "available" | "reserved" | "ringing" | "talking" | "wrap_up" | "break";

export interface Draft {
  ticket_no: string;
  version: number;
  type: string;
  title: string;
  content: string;
  contact_phone: string;
  urgency: string;
  county: string;
  place: string;
  submitted: boolean;
}

export interface CallInfo {
  call_id: string;
  caller_number: string;
  called_number: string;
  language: string;
  stage: string;
  since: string;
  connected_at: string | null;
  on_hold: boolean;
  history: { call_id: string; started_at: string; outcome_text: string; agent_name: string; url: string }[];
  tickets: { ticket_no: string; type_text: string; title: string; state_text: string; created_at: string; url: string }[];
  draft: Draft | null;
}

export interface DeskState {
  server_time: string;
  agent: {
    id: number;
    number: string;
    name: string;
    state: AgentState;
    reason: string | null;
    since: string;
    until: string | null;
    wish: string | null;
    phone_ready: boolean;
  };
  break_reasons: { id: string; text: string }[];
  call: CallInfo | null;
}

export interface PhoneAccount {
  user: string;
  password: string;
  domain: string;
  ws_url: string;
}
