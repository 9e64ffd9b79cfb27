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
import { DOUBTFUL_SILENCE_MS, Subscription } from './subscription';
import { fetchToken, type MomentoToken, TokenError } from './token-api';
import type { EndReason, TopicMessage } from './topic-stream';

/**
 * `connecting`: not yet live. `live`: what is published arrives. `reconnecting`: it does not for the moment,
 * and will be made up for. `sign-in-needed`: waits for `signedInAgain`. `closed`: for good.
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

  /** The request for a token that is under way, and the pause before its next attempt. */
  #request: { readonly abort: AbortController; readonly done: Promise<void> } | null = null;
  readonly #requestPause = new Pause();
  #renewalTimer: ReturnType<typeof setTimeout> | undefined;
  #renewAt = Number.POSITIVE_INFINITY;

  #reconnectTimer: ReturnType<typeof setTimeout> | undefined;
  #reconnect: (() => void) | null = null;
  #failures = 0;
  #liveSince = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#courseIds = options.courseIds;
    this.#courseIdsInUse = options.courseIds;
    this.#subscription = new Subscription({
      onLive: () => this.#onLive(),
      onInterruption: () => this.#onInterruption(),
      onMessage: (message) => options.onMessage?.(message),
      onGap: (missed) => options.onGap?.(missed),
      onFailure: (reason, detail, isLive) => this.#onStreamFailure(reason, detail, isLive),
      onSilence: () => this.#replaceStream(),
    });
  }

  get state(): SessionState {
    return this.#state;
  }

  get token(): MomentoToken | null {
    return this.#token;
  }

  /** Fetches a token and subscribes. What comes of it is told by the callbacks. */
  start(): void {
    this.#options.onState?.(this.#state);
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
   * Publishes a message, with the user's identity. A refusal that may pass (a limit, an outage, an expired
   * token) is tried again for some seconds. Rejects with a `MomentoError`.
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

  /** A list in the cache, first element first; empty where there is none. Rejects with a `MomentoError`. */
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

  /** The user has signed in again: goes on where it was. */
  signedInAgain(): void {
    if (this.#state === 'sign-in-needed') {
      this.#setState(this.#subscription.isLive ? 'live' : 'reconnecting');
      this.#renew();
    }
  }

  /** The device says that it has lost the network. */
  networkLost(): void {
    if (this.#state === 'live') {
      this.#subscription.close();
      this.#onStreamFailure('connection', 'The network is gone.', false);
    }
  }

  /** The device is back: on the network (`isNewNetwork`), or out of sleep. Nothing waits any longer. */
  wake(isNewNetwork: boolean): void {
    if (this.#state === 'closed' || this.#state === 'sign-in-needed') {
      return;
    }
    this.#requestPause.end();
    if (Date.now() >= this.#renewAt && !this.#request) {
      this.#renew();
    }
    if (this.#reconnect) {
      this.#reconnect();
    } else if (isNewNetwork || this.#subscription.silentMs > DOUBTFUL_SILENCE_MS) {
      this.#replaceStream();
    }
  }

  close(): void {
    this.#request?.abort.abort();
    this.#requestPause.end();
    clearTimeout(this.#renewalTimer);
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
    this.#requestPause.end();
    clearTimeout(this.#renewalTimer);
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
        const jwt = await this.#options.identity(isRefused);
        throwIfAborted(signal);
        if (jwt === null) {
          throw new TokenError('sign-in', 'The sign-in has expired.');
        }
        const token = await fetchToken(this.#options.tokenUrl, jwt, this.#courseIds, signal);
        throwIfAborted(signal);
        return token;
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
    const isServed = this.#subscription.isLive || this.#subscription.isConnecting || this.#reconnect;
    if (this.#subscribedWith !== this.#clients || !isServed) {
      this.#subscribe();
    }
  }

  /**
   * A token is renewed when a quarter of what it had left is left, or a minute where that is more, but not in
   * its first half, with something to spare: so long, the token API gives the same one again.
   */
  #scheduleRenewal(expiresAt: number): void {
    const left = expiresAt - Date.now();
    const early = Math.max(left / 4, Math.min(60_000, left * 0.4));
    // Nobody hands out expired tokens: then this device's clock is wrong, and Momento's refusal has to tell.
    const isClockWrong = left <= 0;
    this.#expiresAt = isClockWrong ? Number.POSITIVE_INFINITY : expiresAt;
    const waitMs = isClockWrong ? BLIND_RENEWAL_MS : (left - early) * (1 - Math.random() / 20);
    this.#renewIn(Math.max(SHORTEST_RENEWAL_MS, waitMs));
  }

  #renewIn(waitMs: number): void {
    // A clock that is far behind makes a token's life so long that no timer takes it.
    const boundedMs = Math.min(waitMs, LONGEST_RENEWAL_MS);
    this.#renewAt = Date.now() + boundedMs;
    clearTimeout(this.#renewalTimer);
    this.#renewalTimer = setTimeout(() => this.#renew(), boundedMs);
  }

  get #isExpired(): boolean {
    return Date.now() >= this.#expiresAt;
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
    if (this.#state !== 'sign-in-needed') {
      this.#setState('live');
    }
  }

  #onInterruption(): void {
    if (this.#state === 'live') {
      this.#setState('reconnecting');
    }
  }

  #onStreamFailure(reason: EndReason, detail: string, isLive: boolean): void {
    if (this.#state === 'closed' || this.#state === 'sign-in-needed') {
      return;
    }
    if (!isLive && this.#liveSince > 0 && Date.now() - this.#liveSince > STABLE_MS) {
      this.#failures = 0;
    }
    this.#failures += 1;
    if (isLive && this.#subscription.silentMs > DOUBTFUL_SILENCE_MS) {
      // Nothing comes, and no other stream can be opened.
      this.#subscription.close();
    }
    if (!this.#subscription.isLive) {
      this.#setState(this.#liveSince ? 'reconnecting' : 'connecting');
    }
    if (reason === 'permission') {
      this.#options.onProblem?.(`Momento refused the subscription: ${detail}`, false);
    }
    this.#scheduleReconnect(reason !== 'connection');
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

  #replaceStream(): void {
    if (!this.#isExpired && !this.#subscription.isConnecting) {
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

/** Whether Momento has not done what was asked, and may do so if it is asked again. */
function mayPass(code: MomentoErrorCode): boolean {
  return (
    code === MomentoErrorCode.AUTHENTICATION_ERROR ||
    code === MomentoErrorCode.LIMIT_EXCEEDED_ERROR ||
    code === MomentoErrorCode.SERVER_UNAVAILABLE
  );
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
