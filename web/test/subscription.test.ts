/** A subscription gives each message once, whatever its streams do. The tests play the streams. */

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import type { CredentialProvider } from '@gomomento/sdk-web';
import { type Source, Subscription } from '../src/momento/subscription';
import type { EndReason, Position, StreamEvent } from '../src/momento/topic-stream';

const SOURCE: Source = { credentials: {} as CredentialProvider, cacheName: 'cache', topicName: 'topic' };
const HOUR_MS = 3_600_000;

class PlayedStream {
  isOpen = false;
  isClosed = false;
  #lastSignAt = Date.now();

  constructor(
    readonly after: Position | null,
    readonly listener: (event: StreamEvent) => void,
  ) {}

  get silentMs(): number {
    return Date.now() - this.#lastSignAt;
  }

  close(): void {
    this.isClosed = true;
    this.isOpen = false;
  }

  open(): this {
    this.isOpen = true;
    return this.#bring({ type: 'open' });
  }

  heartbeat(): this {
    return this.#bring({ type: 'heartbeat' });
  }

  messages(page: number, ...numbers: number[]): this {
    for (const number of numbers) {
      const message = { position: { page, number }, publisher: 'jordan', text: `${page}:${number}` };
      this.#bring({ type: 'message', message });
    }
    return this;
  }

  discontinuity(page: number, number: number): this {
    return this.#bring({ type: 'discontinuity', position: { page, number } });
  }

  end(reason: EndReason = 'connection'): void {
    this.isOpen = false;
    this.#bring({ type: 'end', reason, detail: 'as the test says' });
  }

  #bring(event: StreamEvent): this {
    this.#lastSignAt = Date.now();
    if (!this.isClosed) {
      this.listener(event);
    }
    return this;
  }
}

/** A subscription, its streams, and what it has told: the texts of messages, and gaps. */
function subscribe() {
  const streams: PlayedStream[] = [];
  const told: string[] = [];
  const ages: string[] = [];
  const subscription = new Subscription(
    (_source, after, listener) => {
      streams.push(new PlayedStream(after, listener));
      return streams.at(-1) as PlayedStream;
    },
    {
      onLive: () => {},
      onInterruption: () => {},
      onMessage: ({ text, age }) => {
        told.push(String(text));
        ages.push(age);
      },
      onGap: (missed) => told.push(`gap of ${missed ?? 'some'}`),
      onFailure: (reason) => told.push(`failure: ${reason}`),
    },
  );
  const connect = () => {
    subscription.connect(SOURCE);
    return streams.at(-1) as PlayedStream;
  };
  return { subscription, connect, streams, told, ages };
}

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
});

test('a message that the service repeats on one stream is given once', () => {
  const { connect, told } = subscribe();
  connect().open().messages(1, 1, 2, 2, 1, 3);
  assert.deepEqual(told, ['1:1', '1:2', '1:3']);
});

test('a message that a resumed stream repeats after an outage is given once', () => {
  const { connect, told } = subscribe();
  connect().open().messages(1, 1, 2).end();
  const resumed = connect();
  assert.deepEqual(resumed.after, { page: 1, number: 2 });
  resumed.open().messages(1, 1, 2, 3);
  assert.deepEqual(told, ['1:1', '1:2', 'failure: connection', '1:3']);
});

test('a message that comes late, after a larger number, is given', () => {
  const { connect, told } = subscribe();
  const stream = connect().open().messages(1, 1, 3, 2);
  stream.end();
  assert.deepEqual(told, ['1:1', 'gap of 1', '1:3', '1:2', 'failure: connection']);
  assert.deepEqual(connect().after, { page: 1, number: 3 });
});

test('the same number on a new page is another message', () => {
  const { connect, told } = subscribe();
  connect().open().messages(1, 1, 2).discontinuity(2, 0).messages(2, 1, 2);
  assert.deepEqual(told, ['1:1', '1:2', '2:1', '2:2']);
});

test('the message whose number a discontinuity names is given, and not counted as missing', () => {
  const { connect, told } = subscribe();
  connect().open().messages(1, 5).discontinuity(1, 8).messages(1, 8, 9);
  assert.deepEqual(told, ['1:5', 'gap of 2', '1:8', '1:9']);
});

test('a discontinuity that skips nothing is no gap', () => {
  const { connect, told } = subscribe();
  connect().open().messages(1, 5).discontinuity(1, 6).messages(1, 6);
  assert.deepEqual(told, ['1:5', '1:6']);
});

test('a gap is told with the next heartbeat where no message follows', () => {
  const { connect, told } = subscribe();
  const stream = connect().open().messages(1, 5).discontinuity(1, 8);
  assert.deepEqual(told, ['1:5']);
  stream.heartbeat();
  assert.deepEqual(told, ['1:5', 'gap of 3']);
});

test('two discontinuities in a row are one gap', () => {
  const { connect, told } = subscribe();
  connect().open().messages(1, 5).discontinuity(1, 8).discontinuity(1, 10).messages(1, 11);
  assert.deepEqual(told, ['1:5', 'gap of 5', '1:11']);
});

test('a new page after an outage is a gap of unknown size', () => {
  const { connect, told } = subscribe();
  connect().open().messages(1, 5).end();
  connect().open().discontinuity(2, 0).messages(2, 1);
  assert.deepEqual(told, ['1:5', 'failure: connection', 'gap of some', '2:1']);
});

test('what came before the subscription is no gap', () => {
  const { connect, told } = subscribe();
  connect().open().discontinuity(7, 41).messages(7, 42);
  assert.deepEqual(told, ['7:42']);
});

test('the latest message that a first stream begins with may be old', () => {
  const { connect, ages } = subscribe();
  const stream = connect().open().messages(1, 9);
  mock.timers.tick(5_000);
  stream.messages(1, 10);
  assert.deepEqual(ages, ['unknown', 'new']);
});

test('a message that a first stream brings later is new', () => {
  const { connect, ages } = subscribe();
  const stream = connect().open();
  mock.timers.tick(5_000);
  stream.messages(1, 10);
  assert.deepEqual(ages, ['new']);
});

test('what an outage has delayed is not new', () => {
  const { connect, ages } = subscribe();
  const first = connect().open();
  mock.timers.tick(5_000);
  first.messages(1, 1).end();
  mock.timers.tick(HOUR_MS);
  const resumed = connect().open().messages(1, 2);
  mock.timers.tick(5_000);
  resumed.messages(1, 3);
  assert.deepEqual(ages, ['new', 'missed', 'new']);
});

test('what sleep has delayed is not new, though the stream before was never closed', () => {
  const { subscription, connect, ages, streams } = subscribe();
  const first = connect().open();
  mock.timers.tick(5_000);
  first.messages(1, 1);
  mock.timers.setTime(HOUR_MS);
  assert.equal(subscription.isHeard, false);
  connect().open().messages(1, 2);
  assert.deepEqual(ages, ['new', 'missed']);
  assert.equal(streams[0]?.isClosed, true);
});

test('what comes while the stream is renewed is new, and given once', () => {
  const { connect, told, ages } = subscribe();
  const first = connect().open();
  mock.timers.tick(5_000);
  first.messages(1, 1);
  const second = connect();
  first.messages(1, 2);
  second.open().messages(1, 2, 3);
  assert.deepEqual(told, ['1:1', '1:2', '1:3']);
  assert.deepEqual(ages, ['new', 'new', 'new']);
});

test('a renewal before the first message loses none and tells no gap, however the successor begins', () => {
  for (const successorBringsIt of [true, false]) {
    const { connect, told, streams } = subscribe();
    const first = connect().open();
    mock.timers.tick(5_000);
    const second = connect().open();
    if (successorBringsIt) {
      second.messages(1, 1);
    }
    first.messages(1, 1);
    streams.at(-1)?.open().messages(1, 2);
    assert.deepEqual(told, ['1:1', '1:2']);
  }
});

test('a stream is in doubt after silence, until something arrives', () => {
  const { subscription, connect } = subscribe();
  const stream = connect().open();
  assert.equal(subscription.isHeard, true);
  mock.timers.tick(25_000);
  assert.equal(subscription.isHeard, false);
  assert.equal(subscription.isLive, true);
  stream.heartbeat();
  assert.equal(subscription.isHeard, true);
});

test('a doubted stream is replaced at once, also before the first message', () => {
  const { subscription, connect, streams } = subscribe();
  connect().open();
  subscription.doubt();
  assert.equal(subscription.isHeard, false);
  connect().open();
  assert.equal(subscription.isHeard, true);
  assert.equal(streams[0]?.isClosed, true);
});

test('two streams that have both gone silent are replaced', () => {
  const { subscription, connect, streams } = subscribe();
  connect().open();
  connect().open();
  mock.timers.tick(25_000);
  assert.equal(subscription.isHeard, false);
  assert.equal(subscription.isConnecting, false);
  connect().open();
  assert.equal(subscription.isHeard, true);
  assert.deepEqual(
    streams.map(({ isClosed }) => isClosed),
    [true, true, false],
  );
});
