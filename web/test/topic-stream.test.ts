/** One stream, as it is opened, read and ended. */

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { CredentialProvider } from '@gomomento/sdk-web';
import { type StreamEvent, TopicStream } from '../src/momento/topic-stream';
import { Network, pass, token } from './network';

let network: Network;
beforeEach(() => {
  network = new Network();
});

/** Open a stream, and return it with the events it tells. */
function open(after: { page: number; number: number } | null = null, momentoEndpoint: string | null = null) {
  const { authToken } = token('first');
  const credentials = CredentialProvider.fromDisposableToken(
    momentoEndpoint === null
      ? { authToken }
      : {
          authToken,
          endpointOverrides: {
            cacheEndpoint: momentoEndpoint,
            controlEndpoint: momentoEndpoint,
            tokenEndpoint: momentoEndpoint,
          },
        },
  );
  const events: StreamEvent[] = [];
  const stream = new TopicStream(credentials, 'cache', 'topic', after, (event) => events.push(event));
  return { stream, events, types: () => events.map(({ type }) => type) };
}

test('a stream asks for its topic with its token', () => {
  open();
  const { authorization, cacheName, topicName } = network.stream;
  assert.deepEqual(
    { authorization, cacheName, topicName },
    {
      authorization: 'first',
      cacheName: 'cache',
      topicName: 'topic',
    },
  );
});

test('a stream without a position begins wherever Momento likes', () => {
  open();
  assert.equal(network.stream.after, null);
});

test('a resumed stream begins with the number after the last one, on its page', () => {
  open({ page: 3, number: 7 });
  assert.deepEqual(network.stream.after, { page: 3, number: 7 });
});

test('a stream goes to the web address of the endpoint in the token', () => {
  open();
  assert.equal(network.stream.endpoint, 'https://web.cache.cell.example');
});

for (const [given, used] of [
  ['http://localhost:8081', 'http://localhost:8081'],
  ['momento.example', 'https://momento.example'],
]) {
  test(`a stream goes to the endpoint ${given} if the page names it`, () => {
    open(null, given);
    assert.equal(network.stream.endpoint, used);
  });
}

test('a stream is open as soon as anything arrives, and says so once', () => {
  const { stream, types } = open();
  assert.equal(stream.isOpen, false);
  network.stream.heartbeat().heartbeat().message(1, 1);
  assert.equal(stream.isOpen, true);
  assert.deepEqual(types(), ['open', 'heartbeat', 'heartbeat', 'message']);
});

test('a message has its position, its publisher and its text', () => {
  const { events } = open();
  network.stream.message(2, 5, 'Hello');
  assert.deepEqual(events.at(-1), {
    type: 'message',
    message: { position: { page: 2, number: 5 }, publisher: 'jordan', text: 'Hello' },
  });
});

test('a message that is not text has no text', () => {
  const { events } = open();
  network.stream.message(2, 5, new Uint8Array([1, 2]));
  const event = events.at(-1);
  assert.ok(event?.type === 'message');
  assert.equal(event.message.text, null);
});

test('a discontinuity has the position that it leads to', () => {
  const { events } = open();
  network.stream.discontinuity(4, 9);
  assert.deepEqual(events.at(-1), { type: 'discontinuity', position: { page: 4, number: 9 } });
});

test('an item of a kind that is not known yet is a sign of life and nothing else', async () => {
  const { stream, types } = open();
  network.stream.heartbeat();
  await pass(5_000);
  network.stream.nothing();
  assert.equal(stream.silentMs, 0);
  assert.deepEqual(types(), ['open', 'heartbeat']);
});

test('a stream knows for how long nothing has arrived', async () => {
  const { stream } = open();
  await pass(3_000);
  network.stream.heartbeat();
  await pass(2_000);
  assert.equal(stream.silentMs, 2_000);
});

for (const [code, reason] of [
  [3, 'request'],
  [5, 'not-found'],
  [7, 'permission'],
  [8, 'limit'],
  [9, 'request'],
  [12, 'request'],
  [16, 'token'],
  [2, 'connection'],
  [13, 'connection'],
  [14, 'connection'],
] as const) {
  test(`a stream that ends with gRPC status ${code} gives the reason ${reason}`, () => {
    const { stream, events } = open();
    network.stream.heartbeat().fail(code, 'Momento said this');
    assert.deepEqual(events.at(-1), { type: 'end', reason, detail: 'Momento said this' });
    assert.equal(stream.isOpen, false);
  });
}

test('a stream that Momento ends without an error is a lost connection', () => {
  const { events } = open();
  network.stream.heartbeat().end();
  assert.deepEqual(events.at(-1), { type: 'end', reason: 'connection', detail: 'The stream has ended.' });
});

test('a stream ends once', () => {
  const { types } = open();
  network.stream.fail(14).end();
  assert.deepEqual(types(), ['end']);
});

test('a subscription that is not answered within 10 s is cancelled', async () => {
  const { types } = open();
  await pass(9_750);
  assert.equal(network.stream.isCancelled, false);
  await pass(250);
  assert.equal(network.stream.isCancelled, true);
  assert.deepEqual(types(), ['end']);
});

test('an open stream may be silent for longer than it may take to open', async () => {
  const { types } = open();
  network.stream.heartbeat();
  await pass(60_000);
  assert.equal(network.stream.isCancelled, false);
  assert.deepEqual(types(), ['open', 'heartbeat']);
});

test('a closed stream tells nothing more, whatever still arrives', async () => {
  const { stream, types } = open();
  stream.close();
  assert.equal(network.stream.isCancelled, true);
  network.stream.heartbeat().message(1, 1).fail(14).end();
  await pass(20_000);
  assert.deepEqual(types(), []);
  assert.equal(stream.isOpen, false);
});

test('a listener may close the stream when it opens', () => {
  const events: string[] = [];
  const stream = new TopicStream(
    CredentialProvider.fromDisposableToken({ authToken: token('first').authToken }),
    'cache',
    'topic',
    null,
    ({ type }) => {
      events.push(type);
      stream.close();
    },
  );
  network.stream.message(1, 1);
  assert.deepEqual(events, ['open']);
});
