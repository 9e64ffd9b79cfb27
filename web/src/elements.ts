/** Helpers for the elements of `index.html`. */

export function byId<Found extends HTMLElement>(id: string): Found {
  return document.getElementById(id) as Found;
}

export function within<Found extends HTMLElement>(parent: ParentNode, selector: string): Found {
  return parent.querySelector(selector) as Found;
}

/** Return a new element with a class and a text, which is never parsed as HTML. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  className = '',
  text = '',
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/** Run `action` on submit, unless it is still running from the last time. */
export function onSubmit(form: HTMLFormElement, action: () => Promise<void>): void {
  const button = form.querySelector('button');
  let isBusy = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (isBusy) {
      return;
    }
    isBusy = true;
    button?.setAttribute('aria-disabled', 'true');
    try {
      await action();
    } finally {
      isBusy = false;
      button?.removeAttribute('aria-disabled');
    }
  });
}

/** Let screen readers say this after what they are saying. */
export function announce(text: string): void {
  byId('announcer').textContent = text;
}

/** Return the fields of a JSON object; none if the text is anything else, because it may come from anybody. */
export function parseObject(text: string | null): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
