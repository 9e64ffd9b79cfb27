/**
 * One subscription stream, from its opening to its end.
 *
 * It uses the stub that the SDK is built on, because the SDK's `TopicClient.subscribe` cannot begin at a sequence
 * number, does not tell an item's sequence page, and reconnects with the token that it began with.
 */

import { PubsubClient } from '@gomomento/generated-types-webtext/dist/CachepubsubServiceClientPb';
import {
  type _SubscriptionItem,
  _SubscriptionRequest,
  _TopicValue,
} from '@gomomento/generated-types-webtext/dist/cachepubsub_pb';
import type { CredentialProvider } from '@gomomento/sdk-web';

/** A place in a topic. Numbers count up on a page. When they start again, it is on a larger page. */
export interface Position {
  readonly page: number;
  readonly number: number;
}

export interface StreamMessage {
  readonly position: Position;
  /** The `tokenId` of the token that the message was published with; empty if it has none. */
  readonly publisher: string;
  /** The text of the message; null if it is binary. */
  readonly text: string | null;
}

export type StreamEvent =
  /** Momento has accepted the subscription. All messages published from now on will arrive. */
  | { readonly type: 'open' }
  | { readonly type: 'message'; readonly message: StreamMessage }
  /** Messages are missing here; the next one comes after `position`. */
  | { readonly type: 'discontinuity'; readonly position: Position }
  | { readonly type: 'heartbeat' }
  /** The stream has ended by itself. `detail` is what Momento or the browser said. */
  | { readonly type: 'end'; readonly reason: EndReason; readonly detail: string };

/**
 * Why a stream has ended. `connection`: it broke, or nothing answered. All others are refusals by Momento: it does
 * not accept the token, the token lacks a permission, a limit is reached, there is no such cache, or the request is
 * wrong.
 */
export type EndReason = 'connection' | 'token' | 'permission' | 'limit' | 'not-found' | 'request';

const OPENING_MS = 10_000;

/** The reason for each gRPC status code. Any other code means a broken connection. */
const REFUSALS: Readonly<Record<number, EndReason>> = {
  3: 'request', // INVALID_ARGUMENT
  5: 'not-found', // NOT_FOUND
  6: 'request', // ALREADY_EXISTS
  7: 'permission', // PERMISSION_DENIED
  8: 'limit', // RESOURCE_EXHAUSTED
  9: 'request', // FAILED_PRECONDITION
  11: 'request', // OUT_OF_RANGE
  12: 'request', // UNIMPLEMENTED
  16: 'token', // UNAUTHENTICATED
};

export class TopicStream {
  readonly #call: ReturnType<PubsubClient['subscribe']>;
  readonly #listener: (event: StreamEvent) => void;
  readonly #openingTimer: ReturnType<typeof setTimeout>;
  #isOpen = false;
  #isOver = false;
  #lastSignAt = Date.now();

  /** Begin after `after`. If it is null, Momento begins with the latest message that it holds, or with the next one. */
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
    this.#call.on('error', (error) => this.#end(REFUSALS[error.code] ?? 'connection', error.message));
    this.#call.on('end', () => this.#end('connection', 'The stream has ended.'));
    this.#openingTimer = setTimeout(() => {
      this.#call.cancel();
      this.#end('connection', 'The subscription was not answered in time.');
    }, OPENING_MS);
  }

  get isOpen(): boolean {
    return this.#isOpen && !this.#isOver;
  }

  /** How long nothing has arrived, in ms; before the first item, the age of the stream. */
  get silentMs(): number {
    return Date.now() - this.#lastSignAt;
  }

  /** End the stream without an event. */
  close(): void {
    if (!this.#isOver) {
      this.#isOver = true;
      clearTimeout(this.#openingTimer);
      this.#call.cancel();
    }
  }

  #receive(received: _SubscriptionItem): void {
    if (this.#isOver) {
      return;
    }
    this.#lastSignAt = Date.now();
    clearTimeout(this.#openingTimer);
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
      clearTimeout(this.#openingTimer);
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

/** Return Momento's address for browsers: the `web.` subdomain of the endpoint in the token. */
function webEndpoint(credentials: CredentialProvider): string {
  const endpoint = credentials.getCacheEndpoint();
  if (credentials.areEndpointsOverridden()) {
    return /^https?:\/\//.test(endpoint) ? endpoint : `https://${endpoint}`;
  }
  return `https://web.${endpoint}`;
}
