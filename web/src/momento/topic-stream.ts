/**
 * One subscription stream, from its opening to its end.
 *
 * The SDK's own `TopicClient.subscribe` cannot begin at a sequence number, nor tell the sequence page of an
 * item, and repeats by itself with the token it began with. So this uses the stub that the SDK is built on.
 */

import { PubsubClient } from '@gomomento/generated-types-webtext/dist/CachepubsubServiceClientPb';
import {
  type _SubscriptionItem,
  _SubscriptionRequest,
  _TopicValue,
} from '@gomomento/generated-types-webtext/dist/cachepubsub_pb';
import type { CredentialProvider } from '@gomomento/sdk-web';

/** A place in a topic. Numbers count up on a page; each time they start again, it is on a larger page. */
export interface Position {
  readonly page: number;
  readonly number: number;
}

export interface TopicMessage {
  readonly position: Position;
  /** The `tokenId` of the token it was published with; empty when that token has none. */
  readonly publisher: string;
  /** What was published; null when that is not text. */
  readonly text: string | null;
}

export type StreamEvent =
  /** The subscription stands: everything published from now on will arrive. */
  | { readonly type: 'open' }
  | { readonly type: 'message'; readonly message: TopicMessage }
  /** Messages are missing here; the next one comes after `position`. */
  | { readonly type: 'discontinuity'; readonly position: Position }
  | { readonly type: 'heartbeat' }
  /** Not even a heartbeat for long: the connection may be dead. */
  | { readonly type: 'silent' }
  /** The stream has ended by itself. */
  | { readonly type: 'end'; readonly reason: EndReason; readonly detail: string };

export type EndReason = 'token' | 'permission' | 'connection';

const OPENING_MS = 10_000;
const SILENCE_MS = 60_000;
const UNAUTHENTICATED = 16;
const PERMISSION_DENIED = 7;

export class TopicStream {
  readonly #call: ReturnType<PubsubClient['subscribe']>;
  readonly #listener: (event: StreamEvent) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOpen = false;
  #isOver = false;
  #lastSignAt = Date.now();

  /** Begins after `after`, or, when that is null, with what is published from now on. */
  constructor(
    credentials: CredentialProvider,
    cacheName: string,
    topicName: string,
    after: Position | null,
    listener: (event: StreamEvent) => void,
  ) {
    this.#listener = listener;
    const request = new _SubscriptionRequest();
    request.setCacheName(cacheName);
    request.setTopic(topicName);
    if (after) {
      request.setResumeAtTopicSequenceNumber(after.number + 1);
      request.setSequencePage(after.page);
    }
    this.#call = new PubsubClient(webEndpoint(credentials)).subscribe(request, {
      authorization: credentials.getAuthToken(),
    });
    this.#call.on('data', (item) => this.#receive(item));
    this.#call.on('error', (error) => this.#end(endReason(error.code), error.message));
    this.#call.on('end', () => this.#end('connection', 'The stream has ended.'));
    this.#timer = setTimeout(() => {
      this.#call.cancel();
      this.#end('connection', 'The subscription was not answered in time.');
    }, OPENING_MS);
  }

  get isOpen(): boolean {
    return this.#isOpen && !this.#isOver;
  }

  /** Time since anything arrived, in ms. */
  get silentMs(): number {
    return Date.now() - this.#lastSignAt;
  }

  /** Ends the stream, without an event. */
  close(): void {
    if (!this.#isOver) {
      this.#isOver = true;
      clearTimeout(this.#timer);
      this.#call.cancel();
    }
  }

  #receive(received: _SubscriptionItem): void {
    if (this.#isOver) {
      return;
    }
    this.#lastSignAt = Date.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#listener({ type: 'silent' }), SILENCE_MS);
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.#listener({ type: 'open' });
    }
    const event = streamEvent(received);
    // The listener may have closed the stream when it opened.
    if (event && !this.#isOver) {
      this.#listener(event);
    }
  }

  #end(reason: EndReason, detail: string): void {
    if (!this.#isOver) {
      this.#isOver = true;
      clearTimeout(this.#timer);
      this.#listener({ type: 'end', reason, detail });
    }
  }
}

function streamEvent(received: _SubscriptionItem): StreamEvent | null {
  const item = received.getItem();
  if (item) {
    const value = item.getValue();
    return {
      type: 'message',
      message: {
        position: { page: item.getSequencePage(), number: item.getTopicSequenceNumber() },
        publisher: item.getPublisherId(),
        text: value?.getKindCase() === _TopicValue.KindCase.TEXT ? value.getText() : null,
      },
    };
  }
  const gap = received.getDiscontinuity();
  if (gap) {
    const position = { page: gap.getNewSequencePage(), number: gap.getNewTopicSequence() };
    return { type: 'discontinuity', position };
  }
  return received.getHeartbeat() ? { type: 'heartbeat' } : null;
}

function endReason(code: number): EndReason {
  switch (code) {
    case UNAUTHENTICATED:
      return 'token';
    case PERMISSION_DENIED:
      return 'permission';
    default:
      return 'connection';
  }
}

/** Where browsers find Momento: at the `web.` subdomain of what a token names. */
function webEndpoint(credentials: CredentialProvider): string {
  const endpoint = credentials.getCacheEndpoint();
  if (credentials.areEndpointsOverridden()) {
    return /^https?:\/\//.test(endpoint) ? endpoint : `https://${endpoint}`;
  }
  return `https://web.${endpoint}`;
}
