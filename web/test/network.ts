/** The network as a test plays it: Momento at its generated stub, the token API at `fetch`, and the clock. */

import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { PubsubClient } from '@gomomento/generated-types-webtext/dist/CachepubsubServiceClientPb';
import {
  _Discontinuity,
  _Heartbeat,
  type _PublishRequest,
  _SubscriptionItem,
  type _SubscriptionRequest,
  _TopicItem,
  _TopicValue,
} from '@gomomento/generated-types-webtext/dist/cachepubsub_pb';
import { _Empty } from '@gomomento/generated-types-webtext/dist/common_pb';
import type { MomentoToken } from '../src/momento/token-api';
import type { Position } from '../src/momento/topic-stream';

// The SDK sends it. Node has had one since version 21.
globalThis.navigator ??= { userAgent: 'node' } as Navigator;

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;

export const UNAVAILABLE = 14;
export const UNAUTHENTICATED = 16;
export const PERMISSION_DENIED = 7;
export const RESOURCE_EXHAUSTED = 8;

/** Let everything happen that is due now. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Let time pass, and what is due happen, in steps because what happens may set a timer. */
export async function pass(ms: number): Promise<void> {
  await settle();
  for (let passed = 0; passed < ms; ) {
    const step = Math.min(ms - passed, stepAfter(passed));
    mock.timers.tick(step);
    await settle();
    passed += step;
  }
}

/** What takes minutes is not looked at as closely. */
function stepAfter(passed: number): number {
  return passed < MINUTE_MS ? 250 : 2_000;
}

/** Let time pass as in sleep, when timers stand still. */
export function sleep(ms: number): void {
  mock.timers.setTime(Date.now() + ms);
}

/** A subscription that Momento has been asked for. */
export class StreamCall {
  readonly endpoint: string;
  readonly authorization: string;
  readonly cacheName: string;
  readonly topicName: string;
  readonly after: Position | null;
  isCancelled = false;
  readonly #listeners = new Map<string, (value?: unknown) => void>();

  constructor(client: PubsubClient, request: _SubscriptionRequest, metadata: Record<string, string>) {
    this.endpoint = client.hostname_;
    this.authorization = metadata.authorization ?? '';
    this.cacheName = request.getCacheName();
    this.topicName = request.getTopic();
    const next = request.getResumeAtTopicSequenceNumber();
    this.after = next === 0 ? null : { page: request.getSequencePage(), number: next - 1 };
  }

  on(event: string, listener: (value?: unknown) => void): this {
    this.#listeners.set(event, listener);
    return this;
  }

  cancel(): void {
    this.isCancelled = true;
  }

  heartbeat(): this {
    const item = new _SubscriptionItem();
    item.setHeartbeat(new _Heartbeat());
    return this.#bring('data', item);
  }

  message(page: number, number: number, content: string | Uint8Array = `${page}:${number}`): this {
    const value = new _TopicValue();
    typeof content === 'string' ? value.setText(content) : value.setBinary(content);
    const message = new _TopicItem();
    message.setSequencePage(page);
    message.setTopicSequenceNumber(number);
    message.setPublisherId('jordan');
    message.setValue(value);
    const item = new _SubscriptionItem();
    item.setItem(message);
    return this.#bring('data', item);
  }

  discontinuity(page: number, number: number): this {
    const gap = new _Discontinuity();
    gap.setNewSequencePage(page);
    gap.setNewTopicSequence(number);
    const item = new _SubscriptionItem();
    item.setDiscontinuity(gap);
    return this.#bring('data', item);
  }

  nothing(): this {
    return this.#bring('data', new _SubscriptionItem());
  }

  fail(code: number, message = 'as the test says'): this {
    return this.#bring('error', { code, message, metadata: {} });
  }

  end(): this {
    return this.#bring('end');
  }

  #bring(event: string, value?: unknown): this {
    this.#listeners.get(event)?.(value);
    return this;
  }
}

/** A message that Momento has been asked to publish. */
export class PublishCall {
  readonly authorization: string;
  readonly text: string;
  readonly #answer: (error: unknown, answer: unknown) => void;

  constructor(
    request: _PublishRequest,
    metadata: Record<string, string>,
    answer: (error: unknown, answer: unknown) => void,
  ) {
    this.authorization = metadata.authorization ?? '';
    this.text = request.getValue()?.getText() ?? '';
    this.#answer = answer;
  }

  accept(): void {
    this.#answer(null, new _Empty());
  }

  fail(code: number): void {
    this.#answer({ code, message: 'as the test says', metadata: {} }, null);
  }
}

/** A request that the token API has got. */
export class TokenCall {
  readonly jwt: string;
  readonly body: unknown;
  isAborted = false;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: unknown) => void;

  constructor(init: RequestInit, resolve: (response: Response) => void, reject: (error: unknown) => void) {
    this.jwt = String(new Headers(init.headers).get('authorization')).replace('Bearer ', '');
    this.body = JSON.parse(String(init.body));
    this.#resolve = resolve;
    this.#reject = reject;
    init.signal?.addEventListener('abort', () => {
      this.isAborted = true;
      reject(init.signal?.reason);
    });
  }

  async answer(status: number, body: unknown, headers: Record<string, string> = {}): Promise<void> {
    this.#resolve(Response.json(body, { status, headers }));
    await settle();
  }

  /** Give a token that Momento knows by this name. */
  give(name: string, lifeMs = HOUR_MS): Promise<void> {
    return this.answer(200, token(name, lifeMs));
  }

  async breakOff(): Promise<void> {
    this.#reject(new TypeError('Failed to fetch'));
    await settle();
  }
}

export function token(name: string, lifeMs = HOUR_MS): MomentoToken {
  return {
    authToken: btoa(JSON.stringify({ endpoint: 'cell.example', api_key: name })),
    endpoint: 'cell.example',
    expiresAt: (Date.now() + lifeMs) / 1000,
    tokenId: 'taylor',
    cacheName: 'cache',
  };
}

/** What has been asked of Momento and of the token API, in order. */
export class Network {
  readonly streams: StreamCall[] = [];
  readonly publishes: PublishCall[] = [];
  readonly tokens: TokenCall[] = [];

  /** Take the place of the network, with a clock that stands still and without chance. */
  constructor() {
    const network = this;
    mock.reset();
    mock.timers.reset();
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: Date.UTC(2030, 0, 1) });
    mock.method(Math, 'random', () => 0);
    mock.method(
      PubsubClient.prototype,
      'subscribe',
      function (this: PubsubClient, request: _SubscriptionRequest, metadata: Record<string, string>) {
        const call = new StreamCall(this, request, metadata);
        network.streams.push(call);
        return call;
      },
    );
    mock.method(
      PubsubClient.prototype,
      'publish',
      (
        request: _PublishRequest,
        metadata: Record<string, string>,
        answer: (error: unknown, answer: unknown) => void,
      ) => {
        network.publishes.push(new PublishCall(request, metadata, answer));
      },
    );
    mock.method(globalThis, 'fetch', (_url: string, init: RequestInit) => {
      return new Promise<Response>((resolve, reject) => {
        network.tokens.push(new TokenCall(init, resolve, reject));
      });
    });
  }

  /** Return how long it takes until another stream is asked for. */
  timeToNextStream(): Promise<number> {
    return timeToNext(this.streams);
  }

  /** Return how long it takes until another token is asked for. */
  timeToNextToken(): Promise<number> {
    return timeToNext(this.tokens);
  }

  get stream(): StreamCall {
    return last(this.streams);
  }

  get publish(): PublishCall {
    return last(this.publishes);
  }

  get token(): TokenCall {
    return last(this.tokens);
  }
}

function last<Item>(items: readonly Item[]): Item {
  const item = items.at(-1);
  assert.ok(item, 'nothing of this kind has been asked for');
  return item;
}

async function timeToNext(calls: readonly unknown[]): Promise<number> {
  const [before, begin] = [calls.length, Date.now()];
  for (let passed = 0; calls.length === before; passed = Date.now() - begin) {
    assert.ok(passed < 2 * HOUR_MS, 'nothing more has been asked for');
    await pass(stepAfter(passed));
  }
  return Date.now() - begin;
}
