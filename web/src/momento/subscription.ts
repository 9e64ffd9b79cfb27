/**
 * A subscription that outlives its tokens and its connections, and gives every message once.
 *
 * It knows the position of the last message that it gave, and each new stream begins just after it. A stream stays
 * open until the next one is open, so messages never wait; one that both streams bring is given once.
 *
 * Before the first message, there is no position to begin after. Then both streams stay open until the old one brings
 * a message (so there is a position), shows by heartbeats that it has nothing more to bring, or turns out to be dead.
 */

import type { CredentialProvider } from '@gomomento/sdk-web';
import type { EndReason, Position, StreamEvent, StreamMessage } from './topic-stream';

export interface TopicMessage extends StreamMessage {
  readonly age: MessageAge;
}

/**
 * When a message was published, as far as known, because Momento sends no time with it. `new`: just now. `missed`:
 * during an interruption. `unknown`: just now, or long before the subscription began, because a first stream may begin
 * with the latest message that Momento holds.
 */
export type MessageAge = 'new' | 'missed' | 'unknown';

export interface SubscriptionListener {
  /** A stream is open, or another one has taken over. */
  onLive(): void;
  /** The present stream has ended before the next one could take over. */
  onInterruption(): void;
  onMessage(message: TopicMessage): void;
  /** Messages were missed for good: how many, or null if that is not known. */
  onGap(missed: number | null): void;
  /** There is no stream left; or, with `isLive`, another one could not be opened. */
  onFailure(reason: EndReason, detail: string, isLive: boolean): void;
}

/** Where to subscribe, and with which token. */
export interface Source {
  readonly credentials: CredentialProvider;
  readonly cacheName: string;
  readonly topicName: string;
}

/** What a subscription uses of a `TopicStream`. */
export interface OpenedStream {
  readonly isOpen: boolean;
  readonly silentMs: number;
  close(): void;
}

export type OpenStream = (
  source: Source,
  after: Position | null,
  listener: (event: StreamEvent) => void,
) => OpenedStream;

/** The first heartbeat may have been sent before the other stream opened. The second one was not. */
const HEARTBEATS_TO_TRUST = 2;
/** A stream that is silent for longer may be dead. Momento does not document how often heartbeats come. */
const SILENCE_MS = 20_000;
/** A stream is dead if it has not brought a message so long after another stream has. */
const BEHIND_MS = 3_000;
/** Within this time after opening, a stream brings what was missed. Later messages are new. */
const CATCH_UP_MS = 1_000;
/** More than Momento holds, and so can repeat. */
const POSITIONS_REMEMBERED = 5_000;

interface Stream {
  readonly stream: OpenedStream;
  readonly source: Source;
  /** It began after a position, so it brings all that follows. */
  readonly isResumed: boolean;
  /** No stream was open before it. */
  readonly isFirst: boolean;
  /** When it opened, the stream before it still worked. */
  isContinuous: boolean;
  openedAt: number;
  /** Its discontinuities may be about messages that the stream before it brought. */
  mayRepeat: boolean;
  /** No time without a stream has passed since the last message. */
  isUnbroken: boolean;
  /** What it brought before it took over. */
  held: StreamEvent[];
}

export class Subscription {
  readonly #openStream: OpenStream;
  readonly #listener: SubscriptionListener;
  readonly #given = new Set<string>();
  #position: Position | null = null;
  /** A discontinuity that is not told yet, because only the next message shows how much it skips. */
  #skipped: { readonly after: Position | null; readonly to: Position } | null = null;
  #current: Stream | null = null;
  #next: Stream | null = null;
  #heartbeats = 0;
  #hasBeenLive = false;
  #isDoubted = false;

  constructor(openStream: OpenStream, listener: SubscriptionListener) {
    this.#openStream = openStream;
    this.#listener = listener;
  }

  /** Whether a stream is open. The connection behind it may be dead: see `isHeard`. */
  get isLive(): boolean {
    return this.#current !== null;
  }

  /** Whether a stream is open and surely works. */
  get isHeard(): boolean {
    return this.#current !== null && !this.#isDoubted && this.#current.stream.silentMs <= SILENCE_MS;
  }

  /** Whether a stream is being opened. One that is open and waits to take over is not. */
  get isConnecting(): boolean {
    return this.#next !== null && !this.#next.stream.isOpen;
  }

  /** Do not trust the present stream until something arrives, because the device was asleep or changed networks. */
  doubt(): void {
    this.#isDoubted = true;
  }

  /** Open a stream that takes over as soon as it can. */
  connect(source: Source): void {
    if (this.#next?.stream.isOpen && (this.#next.held.length > 0 || !this.isHeard)) {
      const isDoubted = this.#isDoubted;
      this.#takeOver(this.#next, true);
      this.#isDoubted = isDoubted;
    }
    this.#open(source);
  }

  /** Close the streams. A later `connect` goes on from the present position. */
  close(): void {
    this.#current?.stream.close();
    this.#next?.stream.close();
    this.#current = null;
    this.#next = null;
  }

  #open(source: Source): void {
    this.#next?.stream.close();
    this.#heartbeats = 0;
    const next: Stream = {
      stream: this.#openStream(source, this.#position, (event) => this.#on(next, event)),
      source,
      isResumed: this.#position !== null,
      isFirst: !this.#hasBeenLive,
      isContinuous: false,
      openedAt: Number.POSITIVE_INFINITY,
      mayRepeat: this.#current !== null,
      isUnbroken: false,
      held: [],
    };
    this.#next = next;
  }

  #on(from: Stream, event: StreamEvent): void {
    if (event.type === 'open') {
      from.openedAt = Date.now();
      from.isContinuous = this.isHeard;
      from.isUnbroken = this.isHeard;
    }
    if (from === this.#current) {
      this.#isDoubted = false;
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
        this.#tellGap();
        if (this.#next?.stream.isOpen && this.#next.held.length === 0) {
          this.#heartbeats += 1;
          if (this.#heartbeats >= HEARTBEATS_TO_TRUST) {
            this.#takeOver(this.#next, false);
          }
        }
        break;
      case 'end':
        this.#tellGap();
        this.#current = null;
        if (this.#next?.stream.isOpen) {
          this.#takeOver(this.#next, true);
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
        if (next.isResumed || !this.isHeard) {
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

  /** Let a next stream that began without a position begin again, because there is one now. */
  #resumeNext(): void {
    if (this.#next && !this.#next.isResumed) {
      this.#open(this.#next.source);
    }
  }

  #takeOver(next: Stream, mayHaveMissed: boolean): void {
    this.#tellGap();
    this.#current?.stream.close();
    this.#current = next;
    this.#next = null;
    this.#isDoubted = false;
    this.#hasBeenLive = true;
    this.#listener.onLive();
    if (mayHaveMissed) {
      this.#listener.onGap(null);
    }
    for (const event of next.held.splice(0)) {
      this.#onCurrent(next, event);
    }
  }

  #give(from: Stream, message: StreamMessage): void {
    const { position } = message;
    if (!this.#isGivenNow(position)) {
      return;
    }
    const age = ageOf(from);
    this.#tellGap(position);
    from.mayRepeat = false;
    from.isUnbroken = true;
    const last = this.#position;
    // A message may also come late, after one with a larger number.
    if (last?.page !== position.page || position.number > last.number) {
      this.#position = position;
    }
    this.#listener.onMessage({ ...message, age });
  }

  /** Remember that the message at this position is given. Return false if it was given before. */
  #isGivenNow({ page, number }: Position): boolean {
    const key = `${page}:${number}`;
    if (this.#given.has(key)) {
      return false;
    }
    this.#given.add(key);
    for (const oldest of this.#given) {
      if (this.#given.size <= POSITIONS_REMEMBERED) {
        break;
      }
      this.#given.delete(oldest);
    }
    return true;
  }

  #skip(from: Stream, to: Position): void {
    const last = this.#position;
    if (from.mayRepeat && last !== null && !isAfter(to, last)) {
      return;
    }
    this.#position = to;
    const isNewBeginning = last !== null && to.page > last.page && to.number === 0;
    // Messages from before the subscription are not missing.
    if ((isNewBeginning && from.isUnbroken) || (last === null && ageOf(from) === 'unknown')) {
      this.#tellGap();
    } else {
      this.#skipped = { after: this.#skipped ? this.#skipped.after : last, to };
    }
  }

  /**
   * Tell how many messages are missing before the one at `next`, if any are. Without `next`, assume that the next
   * message follows directly after the discontinuity.
   */
  #tellGap(next?: Position): void {
    const skipped = this.#skipped;
    this.#skipped = null;
    const last = skipped ? skipped.after : this.#position;
    const first = next ?? (skipped && { page: skipped.to.page, number: skipped.to.number + 1 });
    if (first === null) {
      return;
    }
    const missed = last?.page === first.page ? first.number - last.number - 1 : -1;
    if (missed > 0) {
      this.#listener.onGap(missed);
    } else if (missed < 0 && skipped) {
      this.#listener.onGap(null);
    }
  }
}

function ageOf(from: Stream): MessageAge {
  if (from.isContinuous || Date.now() - from.openedAt > CATCH_UP_MS) {
    return 'new';
  }
  return from.isFirst ? 'unknown' : 'missed';
}

function isAfter(one: Position, other: Position): boolean {
  return one.page > other.page || (one.page === other.page && one.number > other.number);
}
