/**
 * A subscription that outlives its tokens and its connections, and gives every message once.
 *
 * It knows the position of the last message it gave, and each new stream begins just after that. While a
 * stream is open it stays so until its successor is, so nothing waits for the change; what both bring is
 * given once. Before the first message there is no position to begin after. Then the successor begins
 * at the present, and both stay open until the first one has a message (from there on there is a position), has
 * shown by heartbeats that it has nothing more to bring, or turns out to be dead.
 */

import type { CredentialProvider } from '@gomomento/sdk-web';
import {
  type EndReason,
  type Position,
  type StreamEvent,
  type TopicMessage,
  TopicStream,
} from './topic-stream';

export interface SubscriptionListener {
  /** The present stream is open; after a change, the one that has taken over. */
  onLive(): void;
  /** The present stream has ended, before the one that is being opened could take over. */
  onInterruption(): void;
  onMessage(message: TopicMessage): void;
  /** Messages were missed for good: how many, where that is known. */
  onGap(missed: number | null): void;
  /** There is no stream left, or (`isLive`) the change to another has failed. */
  onFailure(reason: EndReason, detail: string, isLive: boolean): void;
  /** The stream is open, but nothing has come for so long that another should take over. */
  onSilence(): void;
}

/** Where to subscribe, and with which token. */
export interface Source {
  readonly credentials: CredentialProvider;
  readonly cacheName: string;
  readonly topicName: string;
}

/** A heartbeat may have been on its way before the other stream opened. The second one was not. */
const HEARTBEATS_TO_TRUST = 2;
/** After this long without anything, a stream may be dead; Momento promises no interval of heartbeats. */
export const DOUBTFUL_SILENCE_MS = 20_000;
/** A stream that has not brought a message this long after another has is dead. */
const BEHIND_MS = 3_000;

interface Stream {
  readonly stream: TopicStream;
  readonly source: Source;
  /** It began after a position, so it has all that follows, whatever another stream does. */
  readonly isResumed: boolean;
  /** What it brings first may have come already, by the stream before it. */
  mayRepeat: boolean;
  /** From the stream before it, or from its own last message, there was no time without one. */
  isUnbroken: boolean;
  /** What it has brought before it took over. */
  held: StreamEvent[];
}

export class Subscription {
  readonly #listener: SubscriptionListener;
  #position: Position | null = null;
  #current: Stream | null = null;
  #next: Stream | null = null;
  #heartbeats = 0;
  #hasBeenLive = false;

  constructor(listener: SubscriptionListener) {
    this.#listener = listener;
  }

  get isLive(): boolean {
    return this.#current !== null;
  }

  get isConnecting(): boolean {
    return this.#next !== null;
  }

  /** Time since anything arrived on the present stream, in ms. */
  get silentMs(): number {
    return this.#current?.stream.silentMs ?? Number.POSITIVE_INFINITY;
  }

  /** Opens a stream that takes over as soon as it can. */
  connect(source: Source): void {
    if (this.#next?.stream.isOpen && (this.#next.held.length > 0 || this.silentMs > DOUBTFUL_SILENCE_MS)) {
      this.#takeOver(this.#next, true);
    }
    this.#open(source);
  }

  /** Closes the streams; the position stays, so that `connect` goes on from there. */
  close(): void {
    this.#current?.stream.close();
    this.#next?.stream.close();
    this.#current = null;
    this.#next = null;
  }

  #open(source: Source): void {
    this.#next?.stream.close();
    this.#heartbeats = 0;
    const { credentials, cacheName, topicName } = source;
    const next: Stream = {
      stream: new TopicStream(credentials, cacheName, topicName, this.#position, (event) =>
        this.#on(next, event),
      ),
      source,
      isResumed: this.#position !== null,
      mayRepeat: this.#current !== null,
      isUnbroken: this.#current !== null,
      held: [],
    };
    this.#next = next;
  }

  #on(from: Stream, event: StreamEvent): void {
    if (from === this.#current) {
      this.#onCurrent(from, event);
    } else if (from === this.#next) {
      this.#onNext(from, event);
    }
  }

  #onCurrent(current: Stream, event: StreamEvent): void {
    switch (event.type) {
      case 'message':
        this.#give(current, event.message);
        this.#resumeNext();
        break;
      case 'discontinuity':
        this.#skip(current, event.position);
        this.#resumeNext();
        break;
      case 'heartbeat':
        if (this.#next?.stream.isOpen && this.#next.held.length === 0) {
          this.#heartbeats += 1;
          if (this.#heartbeats >= HEARTBEATS_TO_TRUST) {
            this.#takeOver(this.#next, false);
          }
        }
        break;
      case 'silent':
        if (this.#next?.stream.isOpen) {
          this.#takeOver(this.#next, true);
        } else {
          this.#listener.onSilence();
        }
        break;
      case 'end':
        this.#current = null;
        if (this.#next?.stream.isOpen) {
          // A stream that ends with its token was well until then.
          this.#takeOver(this.#next, event.reason !== 'token');
        } else if (this.#next === null) {
          this.#listener.onFailure(event.reason, event.detail, false);
        } else {
          this.#listener.onInterruption();
        }
        break;
    }
  }

  #onNext(next: Stream, event: StreamEvent): void {
    switch (event.type) {
      case 'open':
        if (this.#current === null || next.isResumed) {
          this.#takeOver(next, !next.isResumed && this.#hasBeenLive);
        }
        break;
      case 'message':
      case 'discontinuity':
        next.held.push(event);
        if (next.held.length === 1) {
          setTimeout(() => {
            if (next === this.#next) {
              this.#takeOver(next, true);
            }
          }, BEHIND_MS);
        }
        break;
      case 'end':
        this.#next = null;
        this.#listener.onFailure(event.reason, event.detail, this.isLive);
        break;
    }
  }

  /** There is a position now: a successor that began without one begins again, after it. */
  #resumeNext(): void {
    if (this.#next && !this.#next.isResumed) {
      this.#open(this.#next.source);
    }
  }

  #takeOver(next: Stream, mayHaveMissed: boolean): void {
    this.#current?.stream.close();
    this.#current = next;
    this.#next = null;
    this.#hasBeenLive = true;
    this.#listener.onLive();
    if (mayHaveMissed) {
      this.#listener.onGap(null);
    }
    for (const event of next.held.splice(0)) {
      this.#onCurrent(next, event);
    }
  }

  #give(from: Stream, message: TopicMessage): void {
    if (this.#isRepeat(from, message.position)) {
      return;
    }
    const before = this.#position;
    from.mayRepeat = false;
    from.isUnbroken = true;
    this.#position = message.position;
    if (before?.page === message.position.page && message.position.number > before.number + 1) {
      this.#listener.onGap(message.position.number - before.number - 1);
    }
    this.#listener.onMessage(message);
  }

  #skip(from: Stream, to: Position): void {
    if (this.#isRepeat(from, to)) {
      return;
    }
    const before = this.#position;
    const missed = before?.page === to.page ? to.number - before.number : null;
    const isNewBeginning = before !== null && to.page > before.page && to.number === 0;
    this.#position = to;
    if (missed !== 0 && !(isNewBeginning && from.isUnbroken)) {
      this.#listener.onGap(missed !== null && missed > 0 ? missed : null);
    }
  }

  #isRepeat(from: Stream, position: Position): boolean {
    const last = this.#position;
    return from.mayRepeat && last !== null && !isAfter(position, last);
  }
}

function isAfter(one: Position, other: Position): boolean {
  return one.page > other.page || (one.page === other.page && one.number > other.number);
}
