/** Comments on courses, as they are on the topic and in the stored lists. What others sent is checked, not trusted. */

export interface LiveComment {
  readonly courseId: string;
  readonly comment: string;
}

export interface StoredComment {
  readonly userID: string;
  readonly comment: string;
  readonly id: string;
  /** Epoch milliseconds. */
  readonly publishedAt: number;
}

/** The message that publishes a comment. */
export function toMessage(courseId: string, comment: string): string {
  const number = Number(courseId);
  const isNumber = Number.isSafeInteger(number) && String(number) === courseId;
  return JSON.stringify({ courseId: isNumber ? number : courseId, comment });
}

/** The comment in a message; null when there is none. */
export function fromMessage(text: string): LiveComment | null {
  const { courseId, comment } = parseObject(text);
  const isId = typeof courseId === 'string' || typeof courseId === 'number';
  return isId && typeof comment === 'string' ? { courseId: String(courseId), comment } : null;
}

/** The comment in an entry of a stored list; null when there is none. */
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
