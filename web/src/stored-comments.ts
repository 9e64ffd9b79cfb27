/**
 * The stored comments of one course: read when it opens, and again when a comment has arrived live, until it is
 * stored too. (The webhook stores it a moment later, or not at all, so that is tried a few times only.)
 */

import { fromStored, keyOf, type StoredComment } from './comments';

/** A comment that arrived by the subscription. */
export interface Arrival {
  readonly publisher: string;
  readonly comment: string;
  /** The sender's id; null where the sender gave none. */
  readonly id: string | null;
  readonly sequenceNumber: number;
}

export interface StoredCommentsOptions {
  /** Return the entries of a course, newest first. */
  read(courseId: string): Promise<string[]>;
  show(comments: readonly StoredComment[]): void;
  /** They could not be read; they will be read again. */
  showFailure(error: unknown): void;
}

const WAITS_FOR_ARRIVAL_MS = [150, 350, 700, 1500, 3000, 5000];
const AFTER_FAILURE_MS = 10_000;
/** A stored list is no longer than this, so an older comment need not be waited for. */
const MOST_AWAITED = 100;

export class StoredComments {
  readonly #options: StoredCommentsOptions;
  #courseId: string | null = null;
  #lastRead: readonly StoredComment[] | null = null;
  #awaited: Arrival[] = [];
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isReading = false;
  #isWanted = false;

  constructor(options: StoredCommentsOptions) {
    this.#options = options;
  }

  /** What the last reading of the open course found; null where there was none, or it failed. */
  get lastRead(): readonly StoredComment[] | null {
    return this.#lastRead;
  }

  open(courseId: string): void {
    this.#courseId = courseId;
    this.#lastRead = null;
    this.refresh();
  }

  /** Stop reading. What is awaited from now on is waited for when a course opens. */
  close(): void {
    this.#courseId = null;
    this.#lastRead = null;
    this.#awaited = [];
    this.#cancelTimer();
  }

  /** Read at once, or once more where a reading is under way. */
  refresh(): void {
    this.#cancelTimer();
    if (this.#isReading) {
      this.#isWanted = true;
    } else {
      this.#read();
    }
  }

  /** Read until this comment is among the stored ones. */
  await(arrival: Arrival): void {
    this.#awaited = [...this.#awaited, arrival].slice(-MOST_AWAITED);
    this.#tries = 0;
    if (!this.#isReading && this.#timer === undefined) {
      this.#readForAwaited();
    }
  }

  async #read(): Promise<void> {
    const courseId = this.#courseId;
    if (courseId === null) {
      return;
    }
    this.#isReading = true;
    this.#isWanted = false;
    let hasFailed = false;
    try {
      const entries = await this.#options.read(courseId);
      if (this.#courseId === courseId) {
        this.#show(entries);
      }
    } catch (error) {
      hasFailed = true;
      if (this.#courseId === courseId) {
        this.#lastRead = null;
        this.#options.showFailure(error);
      }
    }
    this.#isReading = false;
    if (this.#isWanted) {
      this.#read();
    } else if (hasFailed) {
      this.#readIn(AFTER_FAILURE_MS);
    } else if (this.#awaited.length > 0) {
      this.#readForAwaited();
    }
  }

  #show(entries: readonly string[]): void {
    const comments = withoutRepeats(entries.map(fromStored).filter((comment) => comment !== null));
    this.#awaited = this.#awaited.filter(
      (arrival) => !comments.some((comment) => isStored(arrival, comment)),
    );
    this.#lastRead = comments;
    this.#options.show(comments);
  }

  #readForAwaited(): void {
    if (this.#courseId === null) {
      return;
    }
    const waitMs = WAITS_FOR_ARRIVAL_MS[this.#tries];
    if (waitMs === undefined) {
      this.#awaited = [];
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

/** Return whether an entry is this comment. Without an id of the sender's, an entry's id ends with the message's number. */
export function isStored(arrival: Arrival, { userID, comment, id }: StoredComment): boolean {
  return (
    userID === arrival.publisher &&
    (id === arrival.id || (comment === arrival.comment && id.endsWith(`-${arrival.sequenceNumber}`)))
  );
}

/** Leave out entries that a rare crash has stored twice. */
function withoutRepeats(comments: readonly StoredComment[]): StoredComment[] {
  const seen = new Set<string>();
  return comments.filter(({ userID, id }) => {
    const key = keyOf(userID, id);
    return !seen.has(key) && seen.add(key);
  });
}
