/** What Momento accepts. */

/** The most bytes that a message may have, in UTF-8. */
export const MESSAGE_BYTES = 4096;

export function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
