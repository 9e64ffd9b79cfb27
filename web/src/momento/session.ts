/**
 * A signed-in user's connection to Momento: publish, subscribe and read lists, for as long as the sign-in
 * lasts, through every renewal of the token and every loss of the connection.
 *
 * It knows nothing of the page, of Cognito or of comments, so an app can take this folder as it is.
 */

import {
  CacheClient,
  CacheListFetchResponse,
  Configurations,
  CredentialProvider,
  MomentoErrorCode,
  TopicClient,
  TopicConfigurations,
  TopicPublishResponse,
} from '@gomomento/sdk-web';
import { backoffMs, Pause } from './backoff';
import { Subscription, type TopicMessage } from './subscription';
import { fetchToken, type MomentoToken, TokenError } from './token-api';
import { type EndReason, TopicStream } from './topic-stream';

/**
 * `connecting`: not yet live. `live`: what is published arrives. `reconnecting`: it does not, or that is in
 * doubt; what is missed meanwhile arrives later. `sign-in-needed`: waits for `signedInAgain`. `closed`: for good.
 */
export type SessionState = 'connecting' | 'live' | 'reconnecting' | 'sign-in-needed' | 'closed';

export interface SessionOptions {
  readonly tokenUrl: string;
  /** The courses whose stored comments are to be read, at most ten. */
  readonly courseIds: readonly string[];
  /** Momento's gRPC-Web URL, where it is not the one that the token names. */
  readonly momentoEndpoint?: string | null;
  /**
   * A JWT that the token API accepts; null when the user has to sign in again. With `isRefused` the
   * last one was not accepted, so a new one is wanted. May throw when it cannot tell: it is asked again later.
   */
  identity(isRefused: boolean): Promise<string | null>;
  onState?(state: SessionState): void;
  /** A new token is in use. */
  onToken?(token: MomentoToken): void;
  /** Each message on the topic once, in order. */
  onMessage?(message: TopicMessage): void;
  /** Momento no longer has messages that were missed: how many, or null where that is not known. */
  onGap?(missed: number | null): void;
  /** Something failed. It is tried again, unless what the caller asked for is wrong (`isFinal`). */
  onProblem?(message: string, isFinal: boolean): void;
}

/** A call to Momento that failed for good. */
export class MomentoError extends Error {
  override readonly name = 'MomentoError';

  constructor(
    /** One of the SDK's `MomentoErrorCode`, or `TOO_LARGE`, or `SIGN_IN_NEEDED`. */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Momento's limit for a message. */
const MESSAGE_BYTES = 4096;
const PUBLISH_ATTEMPTS = 4;
/** A stream that ends sooner than this after opening counts as another failure in a row. */
const STABLE_MS = 5_000;
/** From this many failures in a row on, the user is told even where Momento has refused nothing. */
const FAILURES_TO_TELL = 3;
/** A sign-in or a token that takes longer than this is asked for again. */
const TOKEN_ATTEMPT_MS = 30_000;
/** How often the session looks at the clock. Timers stop while the device sleeps. */
const WATCH_MS = 2_000;
/** A watch that is late by more than this was asleep. Browsers run those of hidden pages once a minute. */
const SLEEP_MS = 90_000;
const SHORTEST_RENEWAL_MS = 1_000;
const LONGEST_RENEWAL_MS = 3_600_000;
const BLIND_RENEWAL_MS = 60_000;

interface Clients {
  readonly credentials: CredentialProvider;
  readonly topics: TopicClient;
  readonly caches: CacheClient;
}

export class MomentoSession {
  readonly #options: SessionOptions;
  readonly #subscription: Subscription;
  #courseIds: readonly string[];
  /** Those that the present token may read. */
  #courseIdsInUse: readonly string[];
  #state: SessionState = 'connecting';
  #token: MomentoToken | null = null;
  #clients: Clients | null = null;

  /** When the token is no longer accepted, as far as this device's clock can tell. */
  #expiresAt = 0;
  /** Those that the subscription was last told to use. */
  #subscribedWith: Clients | null = null;

  /** The request for a token that is under way, the time limit of an attempt, and the pause before the next. */
  #request: { readonly abort: AbortController; readonly done: Promise<void> } | null = null;
  #attemptLimit = new Pause();
  readonly #requestPause = new Pause();
  #renewAt = Number.POSITIVE_INFINITY;

  #watchTimer: ReturnType<typeof setInterval> | undefined;
  #watchedAt = 0;

  #reconnectTimer: ReturnType<typeof setTimeout> | undefined;
  #reconnect: (() => void) | null = null;
  #failures = 0;
  #liveSince = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#courseIds = options.courseIds;
    this.#courseIdsInUse = options.courseIds;
    this.#subscription = new Subscription(
      ({ credentials, cacheName, topicName }, after, listener) =>
        new TopicStream(credentials, cacheName, topicName, after, listener),
      {
        onLive: () => this.#onLive(),
        onInterruption: () => this.#updateState(),
        onMessage: (message) => options.onMessage?.(message),
        onGap: (missed) => options.onGap?.(missed),
        onFailure: (reason, detail, isLive) => this.#onStreamFailure(reason, detail, isLive),
      },
    );
  }

  get state(): SessionState {
    return this.#state;
  }

  get token(): MomentoToken | null {
    return this.#token;
  }

  /** Fetch a token and subscribe. The callbacks tell what comes of it. */
  start(): void {
    this.#options.onState?.(this.#state);
    this.#watchedAt = Date.now();
    this.#watchTimer = setInterval(() => this.#watch(), WATCH_MS);
    this.#renew();
  }

  /**
   * Fetches a token that may read the stored comments of other courses; the subscription moves to it.
   * Resolves when it is in use. Rejects with a `TokenError` when there is none, and all stays as it was, or
   * when another call of this has taken its place.
   */
  async setCourses(courseIds: readonly string[]): Promise<void> {
    this.#courseIds = courseIds;
    try {
      await this.#requestToken();
    } catch (error) {
      if (this.#courseIds === courseIds) {
        this.#courseIds = this.#courseIdsInUse;
      }
      throw error;
    }
  }

  /**
   * Publish a message, with the user's identity. Rejects with a `MomentoError`.
   *
   * A failure that may pass (a limit, an outage, an expired token, no answer) is tried again for some seconds.
   * Momento may have taken the message although its answer was lost, so it may be published more than once:
   * give it an id of its own, by which receivers can drop repeats.
   */
  async publish(text: string, topicName?: string): Promise<void> {
    if (new TextEncoder().encode(text).length > MESSAGE_BYTES) {
      throw new MomentoError('TOO_LARGE', 'The message is larger than 4 KB.');
    }
    for (let attempt = 1; ; attempt++) {
      const { token, clients } = await this.#ready();
      const answer = await clients.topics.publish(token.cacheName, topicName ?? token.topicName, text);
      if (answer.type === TopicPublishResponse.Success) {
        return;
      }
      const code = answer.errorCode();
      if (attempt === PUBLISH_ATTEMPTS || !mayPass(code)) {
        throw new MomentoError(code, answer.message());
      }
      await this.#beforeAnotherTry(code, attempt, token);
    }
  }

  /** Return a list in the cache, first element first; empty where there is none. Rejects with a `MomentoError`. */
  async readList(name: string): Promise<string[]> {
    for (let attempt = 1; ; attempt++) {
      const { token, clients } = await this.#ready();
      const answer = await clients.caches.listFetch(token.cacheName, name);
      switch (answer.type) {
        case CacheListFetchResponse.Hit:
          return answer.valueListString();
        case CacheListFetchResponse.Miss:
          return [];
      }
      const code = answer.errorCode();
      if (attempt === PUBLISH_ATTEMPTS || !mayPass(code)) {
        throw new MomentoError(code, answer.message());
      }
      await this.#beforeAnotherTry(code, attempt, token);
    }
  }

  /** The user has signed in again: go on where it was. */
  signedInAgain(): void {
    if (this.#state === 'sign-in-needed') {
      this.#setState(this.#subscription.isHeard ? 'live' : 'reconnecting');
      this.#renew();
    }
  }

  /** The device says that it has lost the network. */
  networkLost(): void {
    if (this.#subscription.isLive) {
      this.#subscription.close();
      this.#onStreamFailure('connection', 'The network is gone.', false);
    }
  }

  /**
   * The page is in use again. With `isNewConnection` the device was asleep or changed networks, so every
   * connection from before is in doubt. End all pauses, and replace what may not work any more.
   */
  wake(isNewConnection: boolean): void {
    if (this.#isWaitingForUser) {
      return;
    }
    if (isNewConnection) {
      this.#subscription.doubt();
      this.#attemptLimit.end();
    }
    this.#requestPause.end();
    this.#renewIfDue();
    if (this.#reconnect) {
      this.#reconnect();
    } else if (!this.#subscription.isHeard) {
      this.#replaceStream();
    }
  }

  close(): void {
    clearInterval(this.#watchTimer);
    this.#request?.abort.abort();
    this.#attemptLimit.end();
    this.#requestPause.end();
    this.#cancelReconnect();
    this.#subscription.close();
    this.#token = null;
    this.#clients = null;
    this.#setState('closed');
  }

  // The token

  /** Fetches a token in the background, until there is one. */
  #renew(): void {
    this.#requestToken().catch(() => {
      // Told by onProblem and onState.
    });
  }

  /** Fetches a token, however often it takes, and puts it to use. Takes the place of a request under way. */
  #requestToken(): Promise<void> {
    if (this.#state === 'closed') {
      return Promise.reject(new MomentoError('SIGN_IN_NEEDED', 'The session is closed.'));
    }
    this.#request?.abort.abort();
    this.#attemptLimit.end();
    this.#requestPause.end();
    const abort = new AbortController();
    const done = this.#fetchPersistently(abort.signal).then(
      (token) => {
        throwIfAborted(abort.signal);
        this.#request = null;
        this.#use(token);
      },
      (error: unknown) => {
        if (!abort.signal.aborted) {
          this.#request = null;
          this.#giveUp(error);
        }
        throw error;
      },
    );
    this.#request = { abort, done };
    return done;
  }

  async #fetchPersistently(signal: AbortSignal): Promise<MomentoToken> {
    let isRefused = false;
    for (let failures = 0; ; ) {
      try {
        return await this.#fetchOnce(isRefused, signal);
      } catch (error) {
        throwIfAborted(signal);
        const failure = error instanceof TokenError ? error.failure : 'unavailable';
        if (failure === 'request') {
          throw error;
        }
        if (failure === 'sign-in') {
          if (isRefused) {
            throw error;
          }
          isRefused = true;
          continue;
        }
        failures += 1;
        this.#options.onProblem?.(error instanceof Error ? error.message : String(error), false);
        const askedToWait = error instanceof TokenError ? error.retryAfterMs : 0;
        await this.#requestPause.wait(askedToWait + backoffMs(failures));
        throwIfAborted(signal);
      }
    }
  }

  /** Ask for a JWT, and with it for a token. Gives up after a while, or when `#attemptLimit` ends. */
  async #fetchOnce(isRefused: boolean, signal: AbortSignal): Promise<MomentoToken> {
    const attempt = new AbortController();
    const limit = new Pause();
    this.#attemptLimit = limit;
    const isOver = limit.wait(TOKEN_ATTEMPT_MS).then(() => {
      attempt.abort();
      throw new TokenError('unavailable', 'No token has arrived in time.');
    });
    const fetched = this.#options.identity(isRefused).then((jwt) => {
      throwIfAborted(attempt.signal);
      if (jwt === null) {
        throw new TokenError('sign-in', 'The sign-in has expired.');
      }
      return fetchToken(this.#options.tokenUrl, jwt, this.#courseIds, attempt.signal);
    });
    try {
      const token = await Promise.race([fetched, isOver]);
      throwIfAborted(signal);
      return token;
    } finally {
      // Whichever is slower has nobody to tell.
      isOver.catch(() => {});
      fetched.catch(() => {});
      limit.end();
    }
  }

  #giveUp(error: unknown): void {
    if (error instanceof TokenError && error.failure === 'sign-in') {
      this.#setState('sign-in-needed');
      return;
    }
    this.#options.onProblem?.(error instanceof Error ? error.message : String(error), true);
    if (this.#token) {
      this.#renewIn(BLIND_RENEWAL_MS);
    }
  }

  #use(token: MomentoToken): void {
    if (!this.#clients || token.authToken !== this.#token?.authToken) {
      this.#clients = makeClients(token, this.#options.momentoEndpoint ?? null);
    }
    this.#token = token;
    this.#courseIdsInUse = this.#courseIds;
    this.#scheduleRenewal(token.expiresAt * 1000);
    this.#options.onToken?.(token);
    const isServed = this.#subscription.isHeard || this.#subscription.isConnecting || this.#reconnect;
    if (this.#subscribedWith !== this.#clients || !isServed) {
      this.#subscribe();
    }
  }

  /**
   * Renew a token when a quarter of its remaining life is left, or a minute where that is more. Leave its
   * first half alone, with a margin: until then the token API returns the same token again.
   */
  #scheduleRenewal(expiresAt: number): void {
    const left = expiresAt - Date.now();
    const early = Math.max(left / 4, Math.min(60_000, left * 0.4));
    // The token API returns no expired tokens: this device's clock is wrong, so wait for Momento to refuse it.
    const isClockWrong = left <= 0;
    this.#expiresAt = isClockWrong ? Number.POSITIVE_INFINITY : expiresAt;
    const waitMs = isClockWrong ? BLIND_RENEWAL_MS : (left - early) * (1 - Math.random() / 20);
    this.#renewIn(Math.max(SHORTEST_RENEWAL_MS, waitMs));
  }

  #renewIn(waitMs: number): void {
    // Where the device's clock is far behind, the token seems to live for ever.
    this.#renewAt = Date.now() + Math.min(waitMs, LONGEST_RENEWAL_MS);
  }

  #renewIfDue(): void {
    if (!this.#request && Date.now() >= this.#renewAt) {
      this.#renew();
    }
  }

  get #isExpired(): boolean {
    return Date.now() >= this.#expiresAt;
  }

  /** Compare with the clock what timers cannot tell, since they stop while the device sleeps. */
  #watch(): void {
    const wasAsleep = Date.now() - this.#watchedAt > SLEEP_MS;
    this.#watchedAt = Date.now();
    if (wasAsleep) {
      this.wake(true);
    }
    if (this.#isWaitingForUser) {
      return;
    }
    this.#renewIfDue();
    if (this.#subscription.isLive && !this.#subscription.isHeard && !this.#subscription.isConnecting) {
      this.#replaceStream();
    }
    this.#updateState();
  }

  get #isWaitingForUser(): boolean {
    return this.#state === 'closed' || this.#state === 'sign-in-needed';
  }

  // The subscription

  /** Opens a stream with the present token. */
  #subscribe(): void {
    if (!this.#token || !this.#clients) {
      return;
    }
    this.#cancelReconnect();
    this.#subscribedWith = this.#clients;
    const { cacheName, topicName } = this.#token;
    this.#subscription.connect({ credentials: this.#clients.credentials, cacheName, topicName });
  }

  #onLive(): void {
    this.#liveSince = Date.now();
    this.#cancelReconnect();
    this.#updateState();
  }

  /** Say `live` only while there is no doubt about it. */
  #updateState(): void {
    if (!this.#isWaitingForUser) {
      const isLive = this.#subscription.isHeard;
      this.#setState(isLive ? 'live' : this.#liveSince > 0 ? 'reconnecting' : 'connecting');
    }
  }

  #onStreamFailure(reason: EndReason, detail: string, isLive: boolean): void {
    if (this.#isWaitingForUser) {
      return;
    }
    if (!isLive && this.#liveSince > 0 && Date.now() - this.#liveSince > STABLE_MS) {
      this.#failures = 0;
    }
    this.#failures += 1;
    if (isLive && !this.#subscription.isHeard) {
      // Nothing comes, and no other stream can be opened.
      this.#subscription.close();
    }
    this.#updateState();
    const problem = problemOf(reason, detail, this.#failures);
    if (problem !== null) {
      this.#options.onProblem?.(problem, false);
    }
    this.#scheduleReconnect(reason === 'token' || reason === 'permission');
  }

  #scheduleReconnect(needsToken: boolean): void {
    this.#cancelReconnect();
    this.#reconnect = () => {
      this.#cancelReconnect();
      if (!needsToken && !this.#isExpired) {
        this.#subscribe();
      } else if (!this.#request) {
        this.#renew();
      }
    };
    this.#reconnectTimer = setTimeout(this.#reconnect, backoffMs(this.#failures));
  }

  #cancelReconnect(): void {
    clearTimeout(this.#reconnectTimer);
    this.#reconnect = null;
  }

  /** The present stream is in doubt: open another, with a token that has not expired. */
  #replaceStream(): void {
    this.#updateState();
    if (this.#isExpired) {
      // The renewed token is put to use with a new stream.
      this.#renewIfDue();
    } else if (!this.#reconnect) {
      this.#subscribe();
    }
  }

  // Calls

  /** The present token and its clients, once there is one that has not expired. */
  async #ready(): Promise<{ token: MomentoToken; clients: Clients }> {
    if (this.#state === 'sign-in-needed' || this.#state === 'closed') {
      throw new MomentoError('SIGN_IN_NEEDED', 'You are not signed in any more.');
    }
    if (this.#isExpired) {
      await this.#requestedToken().catch((error: Error) => {
        throw new MomentoError(MomentoErrorCode.AUTHENTICATION_ERROR, error.message);
      });
    }
    if (!this.#token || !this.#clients) {
      throw new MomentoError(MomentoErrorCode.AUTHENTICATION_ERROR, 'There is no token.');
    }
    return { token: this.#token, clients: this.#clients };
  }

  async #beforeAnotherTry(code: MomentoErrorCode, attempt: number, token: MomentoToken): Promise<void> {
    if (code === MomentoErrorCode.AUTHENTICATION_ERROR && token === this.#token) {
      await this.#requestedToken().catch(() => {
        // The next attempt says what is wrong.
      });
    }
    if (code !== MomentoErrorCode.AUTHENTICATION_ERROR || attempt > 1) {
      await new Pause().wait(backoffMs(attempt));
    }
  }

  /** The request under way, or a new one. */
  #requestedToken(): Promise<void> {
    return this.#request?.done ?? this.#requestToken();
  }

  #setState(state: SessionState): void {
    if (state !== this.#state) {
      this.#state = state;
      this.#options.onState?.(state);
    }
  }
}

const MAY_PASS: readonly MomentoErrorCode[] = [
  MomentoErrorCode.AUTHENTICATION_ERROR,
  MomentoErrorCode.LIMIT_EXCEEDED_ERROR,
  MomentoErrorCode.SERVER_UNAVAILABLE,
  // After these, and often after the one above, nobody knows whether Momento has done what was asked.
  MomentoErrorCode.INTERNAL_SERVER_ERROR,
  MomentoErrorCode.CANCELLED_ERROR,
  MomentoErrorCode.UNKNOWN_SERVICE_ERROR,
  MomentoErrorCode.TIMEOUT_ERROR,
];

/** Return whether the same call may succeed if it is made again. */
function mayPass(code: MomentoErrorCode): boolean {
  return MAY_PASS.includes(code);
}

/** Say what is wrong with the subscription and what to do; null for what passes without anybody's help. */
function problemOf(reason: EndReason, detail: string, failures: number): string | null {
  switch (reason) {
    case 'limit':
      return (
        `A limit of the Momento account is reached, so Momento refused the subscription (“${detail}”). ` +
        'Close pages that nobody uses, or ask for a higher limit.'
      );
    case 'not-found':
      return `Momento does not find the cache (“${detail}”). Create it, or correct its name in the deployment.`;
    case 'permission':
      return (
        `Momento refused the subscription: the token does not permit it (“${detail}”). ` +
        'Check which topics the deployment switches on.'
      );
    case 'request':
      return (
        `Momento did not accept the subscription (“${detail}”). ` +
        'Reload the page. If that does not help, check the names of the cache and the topic.'
      );
    case 'token':
      // A token that has just expired is replaced by another.
      return failures < FAILURES_TO_TELL
        ? null
        : `Momento does not accept the token (“${detail}”). Sign out and in again, or check the API key.`;
    case 'connection':
      return failures < FAILURES_TO_TELL
        ? null
        : `Momento cannot be reached (“${detail}”). Check the network.`;
  }
}

function makeClients({ authToken }: MomentoToken, endpoint: string | null): Clients {
  const credentials = CredentialProvider.fromDisposableToken(
    endpoint === null
      ? { authToken }
      : {
          authToken,
          endpointOverrides: {
            cacheEndpoint: endpoint,
            controlEndpoint: endpoint,
            tokenEndpoint: endpoint,
          },
        },
  );
  return {
    credentials,
    topics: new TopicClient({
      credentialProvider: credentials,
      configuration: TopicConfigurations.Browser.latest(),
    }),
    caches: new CacheClient({
      credentialProvider: credentials,
      configuration: Configurations.Browser.latest(),
      defaultTtlSeconds: 60,
    }),
  };
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) {
    throw new TokenError('unavailable', 'Another request has taken the place of this one.');
  }
}
