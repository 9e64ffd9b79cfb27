/** What a reload of this browser tab keeps. It is gone when the tab is closed, and `forgetAll` ends it at once. */

const PREFIX = 'page.';

export function remember(name: string, value: unknown): void {
  try {
    sessionStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // The browser permits no storage: a reload forgets.
  }
}

/** Return what `remember` was last given under this name; null where there is nothing. */
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
    // The browser permits no storage: nothing was kept.
  }
}
