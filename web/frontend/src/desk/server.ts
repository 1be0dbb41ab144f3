// Talking to the web app: buttons, state, stream.

import type { DeskState } from "./types";

export class Trouble extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const csrf = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";

let signedOut: () => void = () => undefined;

/** Do this when the server no longer knows who we are. */
export function whenSignedOut(work: () => void): void {
  signedOut = work;
}

/** POST JSON; throws Trouble with words for a person. */
export async function post<T>(path: string, body: unknown = {}): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": csrf },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Trouble(0, "");
  }
  if (answer.status === 401) {
    signedOut();
  }
  const content = (await answer.json().catch(() => ({}))) as { detail?: string; fix?: string };
  if (!answer.ok) {
    throw new Trouble(answer.status, [content.detail ?? "", content.fix ?? ""].filter(Boolean).join("；"));
  }
  return content as T;
}

/** Follow the state of the desk for as long as the page lives. */
export function follow(changed: (state: DeskState) => void, link: (up: boolean) => void): void {
  const stream = new EventSource("/desk/stream");
  stream.addEventListener("state", (event) => {
    link(true);
    changed(JSON.parse((event as MessageEvent<string>).data) as DeskState);
  });
  stream.addEventListener("error", () => {
    link(false);
    if (stream.readyState === EventSource.CLOSED) {
      // Refused, not merely interrupted: a stream does not say why, a plain request does.
      void fetch("/desk/state", { headers: { Accept: "application/json" } })
        .then((answer) => answer.status === 401 && signedOut())
        .catch(() => undefined);
      window.setTimeout(() => follow(changed, link), 3000);
    }
  });
}
