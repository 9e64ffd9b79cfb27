/** Comments on courses, as they are on the topic and in the stored lists. What others sent is checked, not trusted. */

/** A longer id is refused by the webhook. */
const LONGEST_ID = 64;

export interface LiveComment {
  readonly courseId: string;
  readonly comment: string;
  /** The sender's id of this comment; null where the sender gave none. Others may use the same: see `keyOf`. */
  readonly id: string | null;
}

export interface StoredComment {
  readonly userID: string;
  readonly comment: string;
  readonly id: string;
  /** Epoch milliseconds. */
  readonly publishedAt: number;
}

/** Return what identifies a comment: who published it, and the id that this publisher gave it. */
export function keyOf(publisher: string, id: string): string {
  return JSON.stringify([publisher, id]);
}

/** Return the message that publishes a comment. `id` stays the same when it is published again. */
export function toMessage(courseId: string, comment: string, id: string): string {
  const number = Number(courseId);
  const isNumber = Number.isSafeInteger(number) && String(number) === courseId;
  return JSON.stringify({ courseId: isNumber ? number : courseId, comment, id });
}

/** Return the comment in a message; null when there is none. */
export function fromMessage(text: string): LiveComment | null {
  const { courseId, comment, id } = parseObject(text);
  const isCourse = typeof courseId === 'string' || typeof courseId === 'number';
  const isId = typeof id === 'string' && id !== '' && id.length <= LONGEST_ID;
  return isCourse && typeof comment === 'string'
    ? { courseId: String(courseId), comment, id: isId ? id : null }
    : null;
}

/** Return the comment in an entry of a stored list; null when there is none. */
export function fromStored(entry: string): StoredComment | null {
  const { userID, comment, id, publishedAt } = parseObject(entry);
  return typeof userID === 'string' &&
    typeof comment === 'string' &&
    typeof id === 'string' &&
    typeof publishedAt === 'number'
    ? { userID, comment, id, publishedAt }
    : null;
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
