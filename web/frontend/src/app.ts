// On every page: the navigation at phone width, the help dialog, questions before what cannot be undone.

function dialog(): HTMLDialogElement | null {
  return document.querySelector<HTMLDialogElement>("#help-dialog");
}

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

document.addEventListener("keydown", (event) => {
  if (event.key === "?" && !typing(event.target)) {
    event.preventDefault();
    dialog()?.showModal();
  }
});

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (target?.closest("[data-open-help]")) {
    dialog()?.showModal();
  }
  const toggle = target?.closest<HTMLElement>("[data-nav-toggle]");
  if (toggle) {
    const menu = document.querySelector("#nav-menu");
    const open = menu?.classList.toggle("show") ?? false;
    toggle.setAttribute("aria-expanded", String(open));
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target instanceof HTMLFormElement ? event.target : null;
  const question = form?.dataset.confirm;
  if (question && !window.confirm(question)) {
    event.preventDefault();
  }
});
