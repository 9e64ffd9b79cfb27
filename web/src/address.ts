/** The page's address says what it shows, such as `?tab=chat&room=lobby`, so that links and reloads lead there. */

export function fromAddress(name: string): string | null {
  return new URLSearchParams(location.search).get(name);
}

export function toAddress(name: string, value: string): void {
  const parameters = new URLSearchParams(location.search);
  if (parameters.get(name) !== value) {
    parameters.set(name, value);
    history.replaceState(null, '', `?${parameters}${location.hash}`);
  }
}
