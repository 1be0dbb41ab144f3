// Finding and changing parts of the page.

export function part<T extends HTMLElement = HTMLElement>(testid: string): T {
  const found = document.querySelector<T>(`[data-testid="${testid}"]`);
  if (!found) {
    throw new Error(`the page has no ${testid}`);
  }
  return found;
}

export function show(testid: string, visible: boolean): void {
  part(testid).hidden = !visible;
}

export function text(testid: string, value: string): void {
  const element = part(testid);
  if (element.textContent !== value) {
    element.textContent = value;
  }
}

export function enable(testid: string, enabled: boolean): void {
  part<HTMLButtonElement>(testid).disabled = !enabled;
}

export function pressed(testid: string, on: boolean): void {
  const button = part(testid);
  button.setAttribute("aria-pressed", String(on));
  button.classList.toggle("active", on);
}

const options = JSON.parse(document.querySelector("#desk-options")?.textContent ?? "{}") as {
  texts: Record<string, string>;
  states: Record<string, string>;
};

/** A text of the page's language. */
export function word(key: string): string {
  return options.texts[key] ?? key;
}

export function stateWord(state: string): string {
  return options.states[state] ?? state;
}

export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value: number): string => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** A moment as Beijing time, whatever the computer's own zone. */
export function when(iso: string): string {
  return new Date(iso).toLocaleString(document.documentElement.lang === "en" ? "en-GB" : "zh-CN", {
    timeZone: "Asia/Shanghai",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
  });
}
