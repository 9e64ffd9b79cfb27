/** A session's subscription to one topic: keeps it open, and says what is wrong while it cannot. */

import type { CredentialProvider } from '@gomomento/sdk-web';
import { backoffMs } from './backoff';
import { Subscription, type TopicMessage } from './subscription';
import { type EndReason, TopicStream } from './topic-stream';

export interface TopicListener {
  /** Each message on the topic once, in order. */
  onMessage?(message: TopicMessage): void;
  /** Momento no longer has messages that were missed: how many, or null where that is not known. */
  onGap?(missed: number | null): void;
}

/** What a token permits to connect with. The same object as long as it is the same token. */
export interface Access {
  readonly credentials: CredentialProvider;
  readonly cacheName: string;
}

/** The session, as far as a connection uses it. */
export interface Host {
  /** The present token's access, expired or not. */
  readonly access: Access | null;
  readonly isExpired: boolean;
  /** The user has signed out, or has to sign in again. */
  readonly isWaitingForUser: boolean;
  /** Get another token; `use` is called when it is there. */
  renewToken(): void;
  onChange(): void;
  onProblem(message: string): void;
}

/** A stream that ends sooner than this after opening counts as another failure in a row. */
const STABLE_MS = 5_000;
/** From this many failures in a row on, the user is told even where Momento has refused nothing. */
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

  /** Whether messages arrive, without a doubt. */
  get isHeard(): boolean {
    return this.#subscription.isHeard;
  }

  get hasBeenLive(): boolean {
    return this.#liveSince > 0;
  }

  /** Move to the present token, unless that is in use and works. */
  use(): void {
    const isServed = this.isHeard || this.#subscription.isConnecting || this.#reconnect;
    if (this.#access !== this.#host.access || !isServed) {
      this.#subscribe();
    }
  }

  /** Replace the stream if nothing is heard of it. */
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

  /** End a pause, and replace a stream of which nothing is heard. */
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
      // Nothing comes, and no other stream can be opened.
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

  /** The present stream is in doubt: open another, with a token that has not expired. */
  #replaceStream(): void {
    this.#host.onChange();
    // A token that has expired is being renewed, and put to use with a new stream.
    if (!this.#host.isExpired && !this.#reconnect) {
      this.#subscribe();
    }
  }
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
        `Momento refused the subscription: your sign-in does not permit it (“${detail}”). ` +
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
        : `Momento does not accept your sign-in any more (“${detail}”). Sign out and in again, or check the API key.`;
    case 'connection':
      return failures < FAILURES_TO_TELL
        ? null
        : `Momento cannot be reached (“${detail}”). Check the network.`;
  }
}
