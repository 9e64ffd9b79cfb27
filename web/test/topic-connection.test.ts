/** How a session's subscription to one topic lives through failures, with the session played by the test. */

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { CredentialProvider } from '@gomomento/sdk-web';
import { type Access, TopicConnection } from '../src/momento/topic-connection';
import {
  Network,
  PERMISSION_DENIED,
  pass,
  RESOURCE_EXHAUSTED,
  sleep,
  token,
  UNAUTHENTICATED,
  UNAVAILABLE,
} from './network';

let network: Network;
beforeEach(() => {
  network = new Network();
});

function accessWith(name: string): Access {
  const { authToken, cacheName } = token(name);
  return { credentials: CredentialProvider.fromDisposableToken({ authToken }), cacheName };
}

class PlayedSession {
  access: Access | null = accessWith('first');
  isExpired = false;
  isWaitingForUser = false;
  renewals = 0;
  readonly problems: string[] = [];

  renewToken(): void {
    this.renewals += 1;
  }

  onChange(): void {}

  onProblem(message: string): void {
    this.problems.push(message);
  }
}

/** Subscribe with the first token. `told` has the texts of messages, and gaps. */
function subscribe() {
  const session = new PlayedSession();
  const told: string[] = [];
  const connection = new TopicConnection(
    'topic',
    {
      onMessage: ({ text }) => told.push(String(text)),
      onGap: (missed) => told.push(`gap of ${missed ?? 'some'}`),
    },
    session,
  );
  connection.use();
  return { session, connection, told };
}

/** Let the present stream stay open for so long, with heartbeats. */
async function stayOpen(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 1_000) {
    network.stream.heartbeat();
    await pass(Math.min(left, 1_000));
  }
}

test('a broken stream is followed by another, which begins where it ended', async () => {
  const { connection, told } = subscribe();
  network.stream.message(1, 4).fail(UNAVAILABLE);
  assert.equal(connection.isHeard, false);
  assert.equal(await network.timeToNextStream(), 250);
  assert.deepEqual(network.stream.after, { page: 1, number: 4 });
  network.stream.message(1, 4).message(1, 5);
  assert.equal(connection.isHeard, true);
  assert.deepEqual(told, ['1:4', '1:5']);
});

test('messages that are gone for good are a gap', async () => {
  const { told } = subscribe();
  network.stream.message(1, 4).fail(UNAVAILABLE);
  await network.timeToNextStream();
  network.stream.discontinuity(1, 9).message(1, 10);
  assert.deepEqual(told, ['1:4', 'gap of 5', '1:10']);
});

test('the pause doubles with each failure, up to half a minute of which a part is random', async () => {
  subscribe();
  const pauses: number[] = [];
  for (let failure = 0; failure < 8; failure++) {
    network.stream.fail(UNAVAILABLE);
    pauses.push(await network.timeToNextStream());
  }
  assert.deepEqual(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
});

test('after a stable stream, the pauses begin at the first again', async () => {
  subscribe();
  for (let failure = 0; failure < 4; failure++) {
    network.stream.fail(UNAVAILABLE);
    await network.timeToNextStream();
  }
  await stayOpen(6_000);
  network.stream.fail(UNAVAILABLE);
  assert.equal(await network.timeToNextStream(), 250);
});

test('a stream that ends soon after it has opened does not end the row of failures', async () => {
  subscribe();
  const pauses: number[] = [];
  for (let failure = 0; failure < 4; failure++) {
    await stayOpen(1_000);
    network.stream.fail(UNAVAILABLE);
    pauses.push(await network.timeToNextStream());
  }
  assert.deepEqual(pauses, [250, 500, 1_000, 2_000]);
});

test('an outage is told from its third failure on, and again only then after a stable stream', async () => {
  const { session } = subscribe();
  for (const problems of [0, 0, 1]) {
    network.stream.fail(UNAVAILABLE, 'gone');
    assert.equal(session.problems.length, problems);
    await network.timeToNextStream();
  }
  assert.match(String(session.problems[0]), /cannot be reached \(“gone”\)/);
  await stayOpen(6_000);
  network.stream.fail(UNAVAILABLE);
  assert.equal(session.problems.length, 1);
});

for (const [code, explanation] of [
  [RESOURCE_EXHAUSTED, /A limit of the Momento account is reached.+“too many”/],
  [PERMISSION_DENIED, /your sign-in does not permit it \(“too many”\)/],
  [5, /does not find the cache \(“too many”\)/],
  [3, /did not accept the subscription \(“too many”\)/],
] as const) {
  test(`a refusal with gRPC status ${code} is told at once`, () => {
    const { session } = subscribe();
    network.stream.fail(code, 'too many');
    assert.match(session.problems.join(), explanation);
  });
}

for (const code of [UNAUTHENTICATED, PERMISSION_DENIED]) {
  test(`after gRPC status ${code}, another token is fetched, and the refused one is not used again`, async () => {
    const { session, connection } = subscribe();
    network.stream.message(1, 1).fail(code);
    await pass(250);
    assert.equal(session.renewals, 1);
    await pass(60_000);
    assert.equal(network.streams.length, 1);
    session.access = accessWith('second');
    connection.use();
    assert.equal(network.stream.authorization, 'second');
    assert.deepEqual(network.stream.after, { page: 1, number: 1 });
  });
}

test('a token that Momento goes on to refuse is told from the third time on', async () => {
  const { session, connection } = subscribe();
  for (const problems of [0, 0, 1]) {
    network.stream.fail(UNAUTHENTICATED);
    assert.equal(session.problems.length, problems);
    await pass(10_000);
    session.access = accessWith('another');
    connection.use();
  }
  assert.match(session.problems.join(), /does not accept your sign-in any more/);
});

test('a token that has expired opens no stream', async () => {
  const { session, connection } = subscribe();
  network.stream.heartbeat();
  session.isExpired = true;
  network.stream.fail(UNAVAILABLE);
  await pass(250);
  assert.equal(session.renewals, 1);
  sleep(60_000);
  connection.check();
  connection.wake();
  assert.equal(network.streams.length, 1);
});

test('a new token moves the subscription, and the old stream stays until the new one is open', () => {
  const { session, connection, told } = subscribe();
  const first = network.stream.message(1, 1);
  session.access = accessWith('second');
  connection.use();
  first.message(1, 2);
  assert.equal(first.isCancelled, false);
  assert.equal(connection.isHeard, true);
  network.stream.message(1, 2).message(1, 3);
  assert.equal(first.isCancelled, true);
  assert.deepEqual([network.stream.authorization, told], ['second', ['1:1', '1:2', '1:3']]);
});

test('the same token leaves a stream alone that is open or being opened', () => {
  const { connection } = subscribe();
  connection.use();
  network.stream.heartbeat();
  connection.use();
  assert.equal(network.streams.length, 1);
});

test('the same token does not shorten a pause, and another one does', () => {
  const { session, connection } = subscribe();
  network.stream.fail(UNAVAILABLE);
  connection.use();
  assert.equal(network.streams.length, 1);
  session.access = accessWith('second');
  connection.use();
  assert.equal(network.streams.length, 2);
});

test('a stream that is ended by a pause leaves no second attempt behind', async () => {
  const { session, connection } = subscribe();
  network.stream.fail(UNAVAILABLE);
  session.access = accessWith('second');
  connection.use();
  await stayOpen(30_000);
  assert.equal(network.streams.length, 2);
});

test('if the new token is refused, the old stream goes on, and the change is tried again', async () => {
  const { session, connection, told } = subscribe();
  const first = network.stream.message(1, 1);
  session.access = accessWith('second');
  connection.use();
  network.stream.fail(RESOURCE_EXHAUSTED);
  first.message(1, 2);
  assert.equal(connection.isHeard, true);
  assert.equal(await network.timeToNextStream(), 250);
  network.stream.message(1, 3);
  assert.equal(first.isCancelled, true);
  assert.deepEqual(told, ['1:1', '1:2', '1:3']);
});

test('a silent stream is replaced by another that begins where it fell silent', async () => {
  const { connection } = subscribe();
  const silent = network.stream.message(1, 7);
  await pass(20_000);
  connection.check();
  assert.equal(network.streams.length, 1);
  await pass(250);
  assert.equal(connection.isHeard, false);
  connection.check();
  assert.equal(network.streams.length, 2);
  assert.deepEqual(network.stream.after, { page: 1, number: 7 });
  network.stream.heartbeat();
  assert.equal(silent.isCancelled, true);
  assert.equal(connection.isHeard, true);
});

test('while a silent stream is being replaced, no third one is opened', async () => {
  const { connection } = subscribe();
  network.stream.heartbeat();
  await pass(21_000);
  for (let look = 0; look < 4; look++) {
    connection.check();
    await pass(2_000);
  }
  assert.equal(network.streams.length, 2);
});

test('a silent stream is given up if no other can be opened', async () => {
  const { connection } = subscribe();
  const silent = network.stream.heartbeat();
  await pass(21_000);
  connection.check();
  network.stream.fail(UNAVAILABLE);
  assert.equal(silent.isCancelled, true);
  assert.equal(await network.timeToNextStream(), 250);
});

test('waking ends a pause', () => {
  const { connection } = subscribe();
  network.stream.fail(UNAVAILABLE);
  connection.wake();
  assert.equal(network.streams.length, 2);
});

test('waking leaves a stream alone that is heard, and replaces one that is in doubt', () => {
  const { connection } = subscribe();
  network.stream.heartbeat();
  connection.wake();
  assert.equal(network.streams.length, 1);
  connection.doubt();
  connection.wake();
  assert.equal(network.streams.length, 2);
});

test('when the device loses the network, the stream is closed and opened again', async () => {
  const { connection } = subscribe();
  const first = network.stream.message(1, 3);
  connection.networkLost();
  assert.equal(first.isCancelled, true);
  assert.equal(connection.isHeard, false);
  await network.timeToNextStream();
  assert.deepEqual(network.stream.after, { page: 1, number: 3 });
});

test('while the user has to sign in, nothing is tried and nothing is told', async () => {
  const { session } = subscribe();
  network.stream.heartbeat();
  session.isWaitingForUser = true;
  network.stream.fail(RESOURCE_EXHAUSTED);
  await pass(60_000);
  assert.deepEqual([network.streams.length, session.renewals, session.problems], [1, 0, []]);
});

test('a closed connection opens nothing more', async () => {
  const { connection, told } = subscribe();
  const first = network.stream.message(1, 1);
  first.fail(UNAVAILABLE);
  connection.close();
  await pass(60_000);
  assert.equal(network.streams.length, 1);
  first.message(1, 2);
  assert.deepEqual(told, ['1:1']);
});
