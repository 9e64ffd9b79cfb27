/**
 * A list in the cache. It is read when it opens and whenever there may be more in it. The webhook stores a message a
 * moment after it has arrived, or never, so the list is read only a few times for it.
 */

export interface StoredListOptions {
  read(key: string): Promise<string[]>;
  show(entries: readonly string[]): void;
  /** The list could not be read. It will be read again. */
  showFailure(): void;
  /** Return whether a message has arrived that is not in the list yet. */
  isIncomplete(): boolean;
  /** The list has been read often enough for what is missing. */
  giveUp(): void;
}

const WAITS_MS = [150, 350, 700, 1500, 3000, 5000];
const AFTER_FAILURE_MS = 10_000;

export class StoredList {
  readonly #options: StoredListOptions;
  #key: string | null = null;
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isReading = false;
  #isWanted = false;

  constructor(options: StoredListOptions) {
    this.#options = options;
  }

  open(key: string): void {
    this.#key = key;
    this.refresh();
  }

  close(): void {
    this.#key = null;
    this.#cancelTimer();
  }

  /** Read at once, or once more after the reading under way. */
  refresh(): void {
    this.#cancelTimer();
    if (this.#isReading) {
      this.#isWanted = true;
    } else {
      this.#read();
    }
  }

  /** Read again in a moment, when a message that has arrived will be stored. */
  expectMore(): void {
    this.#tries = 0;
    if (!this.#isReading && this.#timer === undefined) {
      this.#readForMissing();
    }
  }

  async #read(): Promise<void> {
    const key = this.#key;
    if (key === null) {
      return;
    }
    this.#isReading = true;
    this.#isWanted = false;
    let hasFailed = false;
    try {
      const entries = await this.#options.read(key);
      if (this.#key === key) {
        this.#options.show(entries);
      }
    } catch {
      hasFailed = true;
      if (this.#key === key) {
        this.#options.showFailure();
      }
    }
    this.#isReading = false;
    if (this.#isWanted) {
      this.#read();
    } else if (hasFailed) {
      this.#readIn(AFTER_FAILURE_MS);
    } else if (this.#options.isIncomplete()) {
      this.#readForMissing();
    }
  }

  #readForMissing(): void {
    if (this.#key === null) {
      return;
    }
    const waitMs = WAITS_MS[this.#tries];
    if (waitMs === undefined) {
      this.#options.giveUp();
    } else {
      this.#tries += 1;
      this.#readIn(waitMs);
    }
  }

  #readIn(waitMs: number): void {
    this.#cancelTimer();
    this.#timer = setTimeout(() => this.refresh(), waitMs);
  }

  #cancelTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
