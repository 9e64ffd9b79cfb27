/**
 * A signed-in user's connection to Momento. It publishes, subscribes and reads the cache for as long as the user is
 * signed in, renews the token, and reconnects after outages.
 *
 * It knows nothing of the page, of Cognito or of what the messages are about, so any app can use this folder as it is.
 */

import {
  CacheClient,
  CacheGetResponse,
  CacheListFetchResponse,
  Configurations,
  CredentialProvider,
  MomentoErrorCode,
  TopicClient,
  TopicConfigurations,
  TopicPublishResponse,
} from '@gomomento/sdk-web';
import { backoffMs, Pause } from './backoff';
import { bytesOf, MESSAGE_BYTES } from './limits';
import { fetchToken, type MomentoToken, TokenError } from './token-api';
import { type Access, type Host, TopicConnection, type TopicListener } from './topic-connection';

/**
 * `connecting`: no topic is subscribed to, or one is not live yet. `live`: messages on all subscribed topics arrive.
 * `reconnecting`: they do not, or that is in doubt; what is missed meanwhile arrives later. `sign-in-needed`: the
 * session waits for `signedInAgain`. `closed`: it has ended for good.
 */
export type SessionState = 'connecting' | 'live' | 'reconnecting' | 'sign-in-needed' | 'closed';

export interface SessionOptions {
  readonly tokenUrl: string;
  /** The body of the request for a token. It says what the token has to permit, in the token API's form. */
  readonly tokenRequest: unknown;
  /** Momento's gRPC-Web URL, where it is not the one that the token names. */
  readonly momentoEndpoint?: string | null;
  /**
   * Return a JWT for the token API; null when the user has to sign in again. With `isRefused`, the API has refused
   * the last one, so return another. Throw when neither is possible now: the session asks again later.
   */
  identity(isRefused: boolean): Promise<string | null>;
  onState?(state: SessionState): void;
  /** A new token is in use. */
  onToken?(token: MomentoToken): void;
  /** Something has failed. The session tries again, unless `isFinal`: then the token request itself was refused. */
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

const ATTEMPTS = 4;
/** A JWT or a token that takes longer than this is asked for again. */
const TOKEN_ATTEMPT_MS = 30_000;
/** How often the session looks at the clock, because timers stop while the device sleeps. */
const WATCH_MS = 2_000;
/** If the watch is this late, the device was asleep. In hidden pages, browsers run timers once a minute. */
const SLEEP_MS = 90_000;
const SHORTEST_RENEWAL_MS = 1_000;
const LONGEST_RENEWAL_MS = 3_600_000;
const BLIND_RENEWAL_MS = 60_000;

interface Clients extends Access {
  readonly topics: TopicClient;
  readonly caches: CacheClient;
}

/** An error that the SDK returns. */
interface Failure {
  errorCode(): MomentoErrorCode;
  message(): string;
}

export class MomentoSession {
  readonly #options: SessionOptions;
  readonly #host: Host;
  readonly #topics = new Set<TopicConnection>();
  #tokenRequest: unknown;
  /** The request that the present token was the answer to. */
  #tokenRequestInUse: unknown;
  #state: SessionState = 'connecting';
  #token: MomentoToken | null = null;
  #clients: Clients | null = null;

  /** When the token expires, as far as this device's clock can tell. */
  #expiresAt = 0;

  /** The request for a token that is under way, the time limit of an attempt, and the pause before the next. */
  #request: { readonly abort: AbortController; readonly done: Promise<void> } | null = null;
  #attemptLimit = new Pause();
  readonly #requestPause = new Pause();
  #renewAt = Number.POSITIVE_INFINITY;

  #watchTimer: ReturnType<typeof setInterval> | undefined;
  #watchedAt = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#tokenRequest = options.tokenRequest;
    this.#tokenRequestInUse = options.tokenRequest;
    const session = this;
    this.#host = {
      get access() {
        return session.#clients;
      },
      get isExpired() {
        return session.#isExpired;
      },
      get isWaitingForUser() {
        return session.#isWaitingForUser;
      },
      renewToken: () => this.#request ?? this.#renew(),
      onChange: () => this.#updateState(),
      onProblem: (message) => options.onProblem?.(message, false),
    };
  }

  get state(): SessionState {
    return this.#state;
  }

  get token(): MomentoToken | null {
    return this.#token;
  }

  /** Fetch a token and connect. The callbacks report what happens. */
  start(): void {
    this.#options.onState?.(this.#state);
    this.#watchedAt = Date.now();
    this.#watchTimer = setInterval(() => this.#watch(), WATCH_MS);
    this.#renew();
  }

  /** Subscribe to a topic, now or as soon as there is a token. Return a function that ends the subscription. */
  subscribe(topicName: string, listener: TopicListener): () => void {
    const topic = new TopicConnection(topicName, listener, this.#host);
    this.#topics.add(topic);
    this.#updateState();
    if (!this.#isWaitingForUser && !this.#isExpired) {
      topic.use();
    }
    return () => {
      topic.close();
      this.#topics.delete(topic);
      this.#updateState();
    };
  }

  /**
   * Fetch a token with another request body, and move the subscriptions to it. Resolves when it is in use. Rejects
   * with a `TokenError` when the request is refused, which changes nothing, or when another call takes its place.
   */
  async setTokenRequest(tokenRequest: unknown): Promise<void> {
    this.#tokenRequest = tokenRequest;
    try {
      await this.#requestToken();
    } catch (error) {
      if (this.#tokenRequest === tokenRequest) {
        this.#tokenRequest = this.#tokenRequestInUse;
      }
      throw error;
    }
  }

  /**
   * Publish a message, with the user's identity. Rejects with a `MomentoError`.
   *
   * After a failure that may pass (a limit, an outage, an expired token, no answer), it tries again for some seconds.
   * If only Momento's answer was lost, the message is published more than once. Give each message an id of its own,
   * so that receivers can drop repeats.
   */
  async publish(topicName: string, text: string): Promise<void> {
    if (bytesOf(text) > MESSAGE_BYTES) {
      throw new MomentoError('TOO_LARGE', 'The message is larger than 4 KB.');
    }
    await this.#call(async ({ topics, cacheName }) => {
      const answer = await topics.publish(cacheName, topicName, text);
      return answer.type === TopicPublishResponse.Error ? answer : { result: undefined };
    });
  }

  /** Return a list in the cache, first element first; an empty one if there is none. Rejects with a `MomentoError`. */
  readList(key: string): Promise<string[]> {
    return this.#call(async ({ caches, cacheName }) => {
      const answer = await caches.listFetch(cacheName, key);
      switch (answer.type) {
        case CacheListFetchResponse.Hit:
          return { result: answer.valueListString() };
        case CacheListFetchResponse.Miss:
          return { result: [] };
        default:
          return answer;
      }
    });
  }

  /** Return a text in the cache; null if there is none. Rejects with a `MomentoError`. */
  read(key: string): Promise<string | null> {
    return this.#call(async ({ caches, cacheName }) => {
      const answer = await caches.get(cacheName, key);
      switch (answer.type) {
        case CacheGetResponse.Hit:
          return { result: answer.valueString() };
        case CacheGetResponse.Miss:
          return { result: null };
        default:
          return answer;
      }
    });
  }

  /** Go on, because the user has signed in again. */
  signedInAgain(): void {
    if (this.#state === 'sign-in-needed') {
      this.#setState(this.#connectionState);
      this.#renew();
    }
  }

  /** Close all streams, because the device has lost the network, and try to open others. */
  networkLost(): void {
    for (const topic of this.#topics) {
      topic.networkLost();
    }
  }

  /**
   * End all pauses, because the page is in use again, and replace streams that may be dead. With `isNewConnection`,
   * the device was asleep or has changed networks, so all of them may be.
   */
  wake(isNewConnection: boolean): void {
    if (this.#isWaitingForUser) {
      return;
    }
    if (isNewConnection) {
      for (const topic of this.#topics) {
        topic.doubt();
      }
      this.#attemptLimit.end();
    }
    this.#requestPause.end();
    this.#renewIfDue();
    for (const topic of this.#topics) {
      topic.wake();
    }
  }

  close(): void {
    clearInterval(this.#watchTimer);
    this.#request?.abort.abort();
    this.#attemptLimit.end();
    this.#requestPause.end();
    for (const topic of this.#topics) {
      topic.close();
    }
    this.#topics.clear();
    this.#token = null;
    this.#clients = null;
    this.#setState('closed');
  }

  // The token

  /** Fetch a token in the background. */
  #renew(): void {
    this.#requestToken().catch(() => {
      // onProblem or onState has told it.
    });
  }

  /** Fetch a token, with as many attempts as it takes, and use it. Takes the place of a request under way. */
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

  /** Ask for a JWT, and with it for a token. Give up after a while, or when `#attemptLimit` ends. */
  async #fetchOnce(isRefused: boolean, signal: AbortSignal): Promise<MomentoToken> {
    const attempt = new AbortController();
    const limit = new Pause();
    this.#attemptLimit = limit;
    const isOver = limit.wait(TOKEN_ATTEMPT_MS).then(() => {
      attempt.abort();
      throw new TokenError('unavailable', 'The server did not answer in time.');
    });
    const fetched = this.#options.identity(isRefused).then((jwt) => {
      throwIfAborted(attempt.signal);
      if (jwt === null) {
        throw new TokenError('sign-in', 'The sign-in has expired.');
      }
      return fetchToken(this.#options.tokenUrl, jwt, this.#tokenRequest, attempt.signal);
    });
    try {
      const token = await Promise.race([fetched, isOver]);
      throwIfAborted(signal);
      return token;
    } finally {
      // Nobody waits for the slower of the two.
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
    this.#tokenRequestInUse = this.#tokenRequest;
    this.#scheduleRenewal(token.expiresAt * 1000);
    this.#options.onToken?.(token);
    for (const topic of this.#topics) {
      topic.use();
    }
    this.#updateState();
  }

  /**
   * Renew the token when a quarter of its remaining life is left, or a minute if that is more. Never renew it in the
   * first half, with a margin, because the token API returns the same token again until then.
   */
  #scheduleRenewal(expiresAt: number): void {
    const left = expiresAt - Date.now();
    const early = Math.max(left / 4, Math.min(60_000, left * 0.4));
    // The token API returns no expired tokens, so this device's clock is wrong. Use the token until Momento refuses it.
    const isClockWrong = left <= 0;
    this.#expiresAt = isClockWrong ? Number.POSITIVE_INFINITY : expiresAt;
    const waitMs = isClockWrong ? BLIND_RENEWAL_MS : (left - early) * (1 - Math.random() / 20);
    this.#renewIn(Math.max(SHORTEST_RENEWAL_MS, waitMs));
  }

  #renewIn(waitMs: number): void {
    // If the device's clock is far behind, the token seems to live for days.
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

  /** Check by the clock what timers would miss, because they stop while the device sleeps. */
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
    for (const topic of this.#topics) {
      topic.check();
    }
    this.#updateState();
  }

  get #isWaitingForUser(): boolean {
    return this.#state === 'closed' || this.#state === 'sign-in-needed';
  }

  /** Say `live` only while there is no doubt about any topic. */
  #updateState(): void {
    if (!this.#isWaitingForUser) {
      this.#setState(this.#connectionState);
    }
  }

  get #connectionState(): SessionState {
    const topics = [...this.#topics];
    if (topics.length === 0 || !topics.every((topic) => topic.hasBeenLive)) {
      return 'connecting';
    }
    return topics.every((topic) => topic.isHeard) ? 'live' : 'reconnecting';
  }

  // Calls

  /** Make a call. Try again for some seconds after a failure that may pass. */
  async #call<Result>(call: (clients: Clients) => Promise<{ result: Result } | Failure>): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      const { token, clients } = await this.#ready();
      const answer = await call(clients);
      if ('result' in answer) {
        return answer.result;
      }
      const code = answer.errorCode();
      if (attempt === ATTEMPTS || !mayPass(code)) {
        throw new MomentoError(code, answer.message());
      }
      await this.#beforeAnotherTry(code, attempt, token);
    }
  }

  /** Return the present token and its clients, once there is one that has not expired. */
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
      throw new MomentoError(MomentoErrorCode.AUTHENTICATION_ERROR, 'There is no connection yet.');
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

  /** Wait for the request under way, or for a new one. */
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
  // After these, and often after the one above, Momento may have done what was asked.
  MomentoErrorCode.INTERNAL_SERVER_ERROR,
  MomentoErrorCode.CANCELLED_ERROR,
  MomentoErrorCode.UNKNOWN_SERVICE_ERROR,
  MomentoErrorCode.TIMEOUT_ERROR,
];

/** Return whether the same call may succeed if it is made again. */
function mayPass(code: MomentoErrorCode): boolean {
  return MAY_PASS.includes(code);
}

function makeClients({ authToken, cacheName }: MomentoToken, endpoint: string | null): Clients {
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
    cacheName,
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
