/** What this browser tab keeps over a reload, until the tab is closed or `forgetAll` is called. */

const PREFIX = 'page.';

export function remember(name: string, value: unknown): void {
  try {
    sessionStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // The browser permits no storage, so a reload forgets.
  }
}

/** Return the value last remembered under this name; null if there is none. */
export function recall(name: string): unknown {
  try {
    return JSON.parse(sessionStorage.getItem(PREFIX + name) ?? 'null');
  } catch {
    return null;
  }
}

export function forgetAll(): void {
  try {
    for (const key of Object.keys(sessionStorage)) {
      if (key.startsWith(PREFIX)) {
        sessionStorage.removeItem(key);
      }
    }
  } catch {
    // The browser permits no storage, so nothing was kept.
  }
}
