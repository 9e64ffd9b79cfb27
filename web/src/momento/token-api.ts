/** The token API, which gives a signed-in user a Momento token that carries their identity. */

export interface MomentoToken {
  /** Goes into a Momento client as it is. */
  readonly authToken: string;
  readonly endpoint: string;
  /** Epoch seconds. */
  readonly expiresAt: number;
  /** Momento sends this with each message that is published with the token: who published it. */
  readonly tokenId: string;
  readonly cacheName: string;
}

/**
 * Why there is no token. `sign-in`: the JWT was refused. `request`: the request is wrong or not permitted, and would
 * be again. `busy`: there were too many requests. `unavailable`: anything else, which may pass.
 */
export type TokenFailure = 'sign-in' | 'request' | 'busy' | 'unavailable';

export class TokenError extends Error {
  override readonly name = 'TokenError';

  constructor(
    readonly failure: TokenFailure,
    message: string,
    /** How long the API asks to wait. */
    readonly retryAfterMs = 0,
  ) {
    super(message);
  }
}

const TIMEOUT_MS = 15_000;

/** Fetch a token. `request` says what it has to permit, and is sent as JSON. Rejects with a `TokenError`. */
export async function fetchToken(
  url: string,
  jwt: string,
  request: unknown,
  signal: AbortSignal,
): Promise<MomentoToken> {
  const abort = new AbortController();
  const giveUp = () => abort.abort();
  const timer = setTimeout(giveUp, TIMEOUT_MS);
  signal.addEventListener('abort', giveUp);
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${jwt}`, 'content-type': 'application/json' },
      body: JSON.stringify(request),
      cache: 'no-store',
      signal: abort.signal,
    });
    const answer: unknown = await response.json().catch(() => null);
    if (!response.ok) {
      throw refusal(response, answer);
    }
    if (!isToken(answer)) {
      throw new TokenError('unavailable', 'The server gave an answer that this page does not understand.');
    }
    return answer;
  } catch (error) {
    if (error instanceof TokenError) {
      throw error;
    }
    throw new TokenError('unavailable', 'The server could not be reached.');
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', giveUp);
  }
}

function refusal(response: Response, answer: unknown): TokenError {
  const reason =
    isObject(answer) && typeof answer.message === 'string' ? answer.message : `status ${response.status}`;
  switch (response.status) {
    case 400:
    case 403:
      return new TokenError('request', `The server refused this: ${reason}.`);
    case 401:
      return new TokenError('sign-in', 'The sign-in has expired.');
    case 429: {
      const seconds = Number(response.headers.get('retry-after'));
      const waitMs = Number.isFinite(seconds) ? seconds * 1000 : 0;
      return new TokenError('busy', 'The server is busy.', waitMs);
    }
    default:
      return new TokenError('unavailable', `The server has a problem: ${reason}.`);
  }
}

function isToken(value: unknown): value is MomentoToken {
  return (
    isObject(value) &&
    typeof value.expiresAt === 'number' &&
    ['authToken', 'tokenId', 'cacheName'].every((name) => typeof value[name] === 'string')
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
