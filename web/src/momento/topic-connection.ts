/** A session's subscription to one topic. It reopens broken streams, and reports what is wrong. */

import type { CredentialProvider } from '@gomomento/sdk-web';
import { backoffMs } from './backoff';
import { Subscription, type TopicMessage } from './subscription';
import { type EndReason, TopicStream } from './topic-stream';

export interface TopicListener {
  /** Each message on the topic once, in order. */
  onMessage?(message: TopicMessage): void;
  /** Messages were missed that Momento no longer has: how many, or null if that is not known. */
  onGap?(missed: number | null): void;
}

/** What a token gives access to. It stays the same object as long as the token is the same. */
export interface Access {
  readonly credentials: CredentialProvider;
  readonly cacheName: string;
}

/** What a connection uses of its session. */
export interface Host {
  /** The access by the present token, even if that has expired. */
  readonly access: Access | null;
  readonly isExpired: boolean;
  /** Whether the user has signed out or has to sign in again. */
  readonly isWaitingForUser: boolean;
  /** Fetch another token, and then call `use`. */
  renewToken(): void;
  onChange(): void;
  onProblem(message: string): void;
}

/** A stream that ends sooner after its opening counts as another failure in a row. */
const STABLE_MS = 5_000;
/** After so many failures in a row, the user is told of an outage too. */
const FAILURES_TO_TELL = 3;

export class TopicConnection {
  readonly #topicName: string;
  readonly #host: Host;
  readonly #subscription: Subscription;
  /** The access that the subscription was last told to use. */
  #access: Access | null = null;
  #reconnectTimer: ReturnType<typeof setTimeout> | undefined;
  #reconnect: (() => void) | null = null;
  #failures = 0;
  #liveSince = 0;

  constructor(topicName: string, listener: TopicListener, host: Host) {
    this.#topicName = topicName;
    this.#host = host;
    this.#subscription = new Subscription(
      ({ credentials, cacheName, topicName }, after, listener) =>
        new TopicStream(credentials, cacheName, topicName, after, listener),
      {
        onLive: () => this.#onLive(),
        onInterruption: () => host.onChange(),
        onMessage: (message) => listener.onMessage?.(message),
        onGap: (missed) => listener.onGap?.(missed),
        onFailure: (reason, detail, isLive) => this.#onFailure(reason, detail, isLive),
      },
    );
  }

  /** Whether messages surely arrive. */
  get isHeard(): boolean {
    return this.#subscription.isHeard;
  }

  get hasBeenLive(): boolean {
    return this.#liveSince > 0;
  }

  /** Move to the present token, unless it is in use already. */
  use(): void {
    const isServed = this.isHeard || this.#subscription.isConnecting || this.#reconnect;
    if (this.#access !== this.#host.access || !isServed) {
      this.#subscribe();
    }
  }

  /** Replace the stream if it has been silent for too long. */
  check(): void {
    const { isLive, isHeard, isConnecting } = this.#subscription;
    if (isLive && !isHeard && !isConnecting) {
      this.#replaceStream();
    }
  }

  /** Do not trust the present stream until something arrives. */
  doubt(): void {
    this.#subscription.doubt();
  }

  /** End a pause, and replace a stream that may be dead. */
  wake(): void {
    if (this.#reconnect) {
      this.#reconnect();
    } else if (!this.isHeard) {
      this.#replaceStream();
    }
  }

  networkLost(): void {
    if (this.#subscription.isLive) {
      this.#subscription.close();
      this.#onFailure('connection', 'The network is gone.', false);
    }
  }

  close(): void {
    this.#cancelReconnect();
    this.#subscription.close();
  }

  #subscribe(): void {
    const access = this.#host.access;
    if (access) {
      this.#cancelReconnect();
      this.#access = access;
      const { credentials, cacheName } = access;
      this.#subscription.connect({ credentials, cacheName, topicName: this.#topicName });
    }
  }

  #onLive(): void {
    this.#liveSince = Date.now();
    this.#cancelReconnect();
    this.#host.onChange();
  }

  #onFailure(reason: EndReason, detail: string, isLive: boolean): void {
    if (this.#host.isWaitingForUser) {
      return;
    }
    if (!isLive && this.hasBeenLive && Date.now() - this.#liveSince > STABLE_MS) {
      this.#failures = 0;
    }
    this.#failures += 1;
    if (isLive && !this.isHeard) {
      // The old stream is silent, and no new one can be opened.
      this.#subscription.close();
    }
    this.#host.onChange();
    const problem = problemOf(reason, detail, this.#failures);
    if (problem !== null) {
      this.#host.onProblem(problem);
    }
    this.#scheduleReconnect(reason === 'token' || reason === 'permission');
  }

  #scheduleReconnect(needsToken: boolean): void {
    this.#cancelReconnect();
    this.#reconnect = () => {
      this.#cancelReconnect();
      if (needsToken || this.#host.isExpired) {
        this.#host.renewToken();
      } else {
        this.#subscribe();
      }
    };
    this.#reconnectTimer = setTimeout(this.#reconnect, backoffMs(this.#failures));
  }

  #cancelReconnect(): void {
    clearTimeout(this.#reconnectTimer);
    this.#reconnect = null;
  }

  /** Open another stream, because the present one may be dead. */
  #replaceStream(): void {
    this.#host.onChange();
    // If the token has expired, the session is renewing it, and then calls `use`.
    if (!this.#host.isExpired && !this.#reconnect) {
      this.#subscribe();
    }
  }
}

/** Return what is wrong with the subscription and what to do; null if it passes by itself. */
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
        `Momento refused the subscription: your sign-in does not permit it (“${detail}”). ` +
        'Check which topics the deployment switches on.'
      );
    case 'request':
      return (
        `Momento did not accept the subscription (“${detail}”). ` +
        'Reload the page. If that does not help, check the names of the cache and the topic.'
      );
    case 'token':
      // It may just have expired, and is replaced.
      return failures < FAILURES_TO_TELL
        ? null
        : `Momento does not accept your sign-in any more (“${detail}”). Sign out and in again, or check the API key.`;
    case 'connection':
      return failures < FAILURES_TO_TELL
        ? null
        : `Momento cannot be reached (“${detail}”). Check the network.`;
  }
}
