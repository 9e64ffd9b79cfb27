/** What Momento accepts. */

/** The largest message, in bytes of UTF-8. */
export const MESSAGE_BYTES = 4096;

export function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
