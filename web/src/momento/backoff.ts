/** Pauses between attempts. They double, and are partly random so that many pages do not come back at once. */

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/** Return how long to wait before another attempt, after so many failures in a row. */
export function backoffMs(failures: number): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.max(0, failures - 1));
  return ceiling * (0.5 + Math.random() / 2);
}

/** A pause that can be cut short. */
export class Pause {
  #end: (() => void) | null = null;

  /** Resolve after `ms`, or as soon as `end` is called. */
  wait(ms: number): Promise<void> {
    this.end();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.end(), ms);
      this.#end = () => {
        this.#end = null;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  end(): void {
    this.#end?.();
  }
}
