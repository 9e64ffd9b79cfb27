/** A user's session, from its first token on, with Momento and the token API played by the test. */

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { type MomentoError, MomentoSession, type SessionOptions } from '../src/momento/session';
import type { TokenError } from '../src/momento/token-api';
import {
  HOUR_MS,
  MINUTE_MS,
  Network,
  PERMISSION_DENIED,
  pass,
  RESOURCE_EXHAUSTED,
  settle,
  sleep,
  UNAUTHENTICATED,
  UNAVAILABLE,
} from './network';

const COURSE = { reads: { comment: ['1'] } };
const OTHER_COURSE = { reads: { comment: ['2'] } };
const THIRD_COURSE = { reads: { comment: ['3'] } };
const WATCH_MS = 2_000;

let network: Network;
beforeEach(() => {
  network = new Network();
});

/** Start a session that subscribes to topics. `told` has the texts of messages, and gaps. */
async function start(topics: readonly string[] = ['topic'], options: Partial<SessionOptions> = {}) {
  const states: string[] = [];
  const told: string[] = [];
  const problems: string[] = [];
  const finalProblems: string[] = [];
  const session = new MomentoSession({
    tokenUrl: 'https://api.example/token',
    tokenRequest: COURSE,
    identity: async (isRefused) => (isRefused ? 'another JWT' : 'JWT'),
    onState: (state) => states.push(state),
    onProblem: (message, isFinal) => (isFinal ? finalProblems : problems).push(message),
    ...options,
  });
  const [unsubscribe] = topics.map((topic) =>
    session.subscribe(topic, {
      onMessage: ({ text }) => told.push(String(text)),
      onGap: (missed) => told.push(`gap of ${missed ?? 'some'}`),
    }),
  );
  session.start();
  await settle();
  return { session, states, told, problems, finalProblems, unsubscribe };
}

/** Start a session with one topic, which is live. */
async function startLive(lifeMs = HOUR_MS) {
  const started = await start();
  await network.token.give('first', lifeMs);
  network.stream.heartbeat();
  assert.equal(started.session.state, 'live');
  return started;
}

/** Start a session that only publishes. */
async function startWithoutTopics(lifeMs = HOUR_MS) {
  const started = await start([]);
  await network.token.give('first', lifeMs);
  return started;
}

/** Return the error that a promise rejects with, once what is due has happened. */
async function errorOf<Kind>(promise: Promise<unknown>): Promise<Kind> {
  return promise.then(
    () => assert.fail('it did not reject'),
    (error: Kind) => error,
  );
}

/** Expect that something takes so long, give or take one look at the clock. */
function takesAbout(ms: number, expected: number): void {
  assert.ok(Math.abs(ms - expected) <= WATCH_MS, `${ms} ms, not ${expected}`);
}

// States

test('a session is live once a stream is open on each of its topics', async () => {
  const { states } = await start(['one', 'two']);
  await network.token.give('first');
  const [one, two] = network.streams;
  one?.heartbeat();
  assert.deepEqual(states, ['connecting']);
  two?.heartbeat();
  assert.deepEqual(states, ['connecting', 'live']);
  assert.deepEqual([one?.topicName, two?.topicName, two?.authorization], ['one', 'two', 'first']);
});

test('a session that follows no topic is connecting', async () => {
  const { session, states, unsubscribe } = await startLive();
  unsubscribe?.();
  assert.equal(session.state, 'connecting');
  session.subscribe('another', {});
  network.stream.heartbeat();
  assert.deepEqual(states, ['connecting', 'live', 'connecting', 'live']);
});

test('a topic that nobody follows any more is not waited for', async () => {
  const { session, unsubscribe } = await start(['one', 'two']);
  await network.token.give('first');
  const [one, two] = network.streams;
  two?.heartbeat();
  unsubscribe?.();
  assert.equal(one?.isCancelled, true);
  assert.equal(session.state, 'live');
});

test('a stream that breaks makes the session reconnect, and loses and repeats nothing', async () => {
  const { states, told } = await startLive();
  network.stream.message(1, 1).fail(UNAVAILABLE);
  await network.timeToNextStream();
  network.stream.message(1, 1).message(1, 2);
  assert.deepEqual(states, ['connecting', 'live', 'reconnecting', 'live']);
  assert.deepEqual(told, ['1:1', '1:2']);
});

test('messages that Momento no longer has are told as a gap', async () => {
  const { told } = await startLive();
  network.stream.message(1, 1).fail(UNAVAILABLE);
  await network.timeToNextStream();
  network.stream.discontinuity(1, 4).message(1, 5);
  assert.deepEqual(told, ['1:1', 'gap of 3', '1:5']);
});

test('a stream that falls silent is in doubt after 20 s, and replaced where it ended', async () => {
  const { states, told } = await startLive();
  const silent = network.stream.message(1, 1);
  takesAbout(await network.timeToNextStream(), 20_000);
  assert.deepEqual(states, ['connecting', 'live', 'reconnecting']);
  assert.deepEqual(network.stream.after, { page: 1, number: 1 });
  network.stream.message(1, 1).message(1, 2);
  assert.equal(silent.isCancelled, true);
  assert.deepEqual(states, ['connecting', 'live', 'reconnecting', 'live']);
  assert.deepEqual(told, ['1:1', '1:2']);
});

test('a stream that falls silent again is replaced again', async () => {
  const { session } = await startLive();
  for (let silence = 0; silence < 3; silence++) {
    takesAbout(await network.timeToNextStream(), 20_000);
    assert.equal(session.state, 'reconnecting');
    network.stream.heartbeat();
    assert.equal(session.state, 'live');
  }
});

test('a stream with heartbeats is left alone', async () => {
  const { states } = await startLive();
  for (let second = 0; second < 60; second++) {
    network.stream.heartbeat();
    await pass(1_000);
  }
  assert.deepEqual([network.streams.length, states], [1, ['connecting', 'live']]);
});

test('when the device loses the network and finds it again, the session is live again at once', async () => {
  const { session, states } = await startLive();
  network.stream.message(1, 1);
  session.networkLost();
  assert.equal(session.state, 'reconnecting');
  session.wake(true);
  network.stream.heartbeat();
  assert.deepEqual(states, ['connecting', 'live', 'reconnecting', 'live']);
});

test('after a change of networks, a stream is not trusted until something arrives', async () => {
  const { session } = await startLive();
  const first = network.stream.message(1, 1);
  session.wake(true);
  assert.equal(session.state, 'reconnecting');
  assert.equal(network.streams.length, 2);
  first.heartbeat();
  await pass(WATCH_MS);
  assert.equal(session.state, 'live');
});

test('a page that is looked at again leaves a stream alone that is heard', async () => {
  const { session } = await startLive();
  session.wake(false);
  assert.deepEqual([session.state, network.streams.length], ['live', 1]);
});

// The token

test('a token is asked for with the JWT and the request', async () => {
  const { session } = await start();
  assert.deepEqual([network.token.jwt, network.token.body], ['JWT', COURSE]);
  await network.token.give('first');
  assert.equal(session.token?.tokenId, 'taylor');
});

test('a 401 asks for another JWT, and is told to nobody if that one is accepted', async () => {
  const { states, problems } = await start();
  await network.token.answer(401, { message: 'Unauthorized' });
  assert.equal(network.token.jwt, 'another JWT');
  await network.token.give('first');
  network.stream.heartbeat();
  assert.deepEqual([states, problems], [['connecting', 'live'], []]);
});

test('a 401 for another JWT needs a sign-in, and nothing is tried until then', async () => {
  const { session, states, problems, finalProblems } = await start();
  await network.token.answer(401, { message: 'Unauthorized' });
  await network.token.answer(401, { message: 'Unauthorized' });
  assert.deepEqual(states, ['connecting', 'sign-in-needed']);
  session.wake(true);
  await pass(10 * MINUTE_MS);
  assert.equal(network.tokens.length, 2);
  assert.deepEqual([problems, finalProblems], [[], []]);
  assert.equal((await errorOf<MomentoError>(session.publish('topic', 'Hello'))).code, 'SIGN_IN_NEEDED');
  session.signedInAgain();
  await settle();
  await network.token.give('first');
  network.stream.heartbeat();
  assert.deepEqual(states, ['connecting', 'sign-in-needed', 'connecting', 'live']);
});

test('a user without a JWT has to sign in, and no token is asked for', async () => {
  const { session } = await start(['topic'], { identity: async () => null });
  assert.deepEqual([session.state, network.tokens.length], ['sign-in-needed', 0]);
});

test('after a renewal that is answered with 401, a sign-in goes on where the session was', async () => {
  const { session, states, told } = await startLive();
  network.stream.message(1, 1);
  session.setTokenRequest(COURSE).catch(() => {});
  await settle();
  await network.token.answer(401, {});
  await network.token.answer(401, {});
  assert.equal(session.state, 'sign-in-needed');
  sleep(HOUR_MS);
  session.wake(true);
  await settle();
  assert.equal(network.tokens.length, 3);
  session.signedInAgain();
  await settle();
  await network.token.give('second');
  network.stream.message(1, 1).message(1, 2);
  assert.deepEqual(told, ['1:1', '1:2']);
  assert.equal(states.at(-1), 'live');
});

test('a 429 is waited out for as long as its Retry-After asks', async () => {
  const { problems } = await start();
  await network.token.answer(429, {}, { 'retry-after': '7' });
  assert.equal(await network.timeToNextToken(), 7_250);
  assert.deepEqual(problems, ['The server is busy.']);
});

test('an outage of the token API is tried again, after pauses that double', async () => {
  const { states, problems } = await start();
  const pauses: number[] = [];
  const failures = [
    () => network.token.breakOff(),
    () => network.token.answer(503, { message: 'Down' }),
    () => network.token.answer(200, { unexpected: true }),
    () => network.token.answer(502, 'no object'),
  ];
  for (const fail of failures) {
    await fail();
    pauses.push(await network.timeToNextToken());
  }
  assert.deepEqual(pauses, [250, 500, 1_000, 2_000]);
  assert.deepEqual(problems, [
    'The server could not be reached.',
    'The server has a problem: Down.',
    'The server gave an answer that this page does not understand.',
    'The server has a problem: status 502.',
  ]);
  await network.token.give('first');
  network.stream.heartbeat();
  assert.deepEqual(states, ['connecting', 'live']);
});

test('after a success, the pauses begin at the first again', async () => {
  await startWithoutTopics();
  for (let renewal = 0; renewal < 2; renewal++) {
    await network.timeToNextToken();
    await network.token.breakOff();
    assert.equal(await network.timeToNextToken(), 250);
    await network.token.breakOff();
    assert.equal(await network.timeToNextToken(), 500);
    await network.token.give(`token ${renewal}`);
  }
});

test('an answer that does not come within 15 s is not waited for', async () => {
  await start();
  const first = network.token;
  assert.equal(await network.timeToNextToken(), 15_250);
  assert.equal(first.isAborted, true);
});

test('an identity that does not come within 30 s is asked for again', async () => {
  let identities = 0;
  await start(['topic'], {
    identity: () => {
      identities += 1;
      return identities === 1 ? new Promise(() => {}) : Promise.resolve('JWT');
    },
  });
  assert.equal(await network.timeToNextToken(), 30_250);
});

test('an identity that cannot be told now is asked for again', async () => {
  let identities = 0;
  const { problems } = await start(['topic'], {
    identity: async () => {
      identities += 1;
      if (identities === 1) {
        throw new Error('Cognito could not be reached.');
      }
      return 'JWT';
    },
  });
  assert.equal(await network.timeToNextToken(), 250);
  assert.deepEqual(problems, ['Cognito could not be reached.']);
});

test('waking ends the pause before the next request for a token', async () => {
  const { session } = await start();
  await network.token.answer(429, {}, { 'retry-after': '600' });
  session.wake(false);
  await settle();
  assert.equal(network.tokens.length, 2);
});

for (const status of [400, 403]) {
  test(`a ${status} is final, and not tried again`, async () => {
    const { session, finalProblems } = await start();
    await network.token.answer(status, { message: 'No such course' });
    await pass(10 * MINUTE_MS);
    assert.equal(network.tokens.length, 1);
    assert.deepEqual(finalProblems, ['The server refused this: No such course.']);
    assert.equal(session.state, 'connecting');
  });
}

// Another request

test('another request moves the subscriptions to its token', async () => {
  const { session, states } = await startLive();
  const change = session.setTokenRequest(OTHER_COURSE);
  await settle();
  assert.deepEqual(network.token.body, OTHER_COURSE);
  await network.token.give('second');
  await change;
  assert.equal(network.stream.authorization, 'second');
  network.stream.message(1, 1);
  await network.timeToNextToken();
  assert.deepEqual(network.token.body, OTHER_COURSE);
  assert.deepEqual(states.slice(0, 2), ['connecting', 'live']);
});

test('a request that is refused leaves the session with the former one, also for renewals', async () => {
  const { session, finalProblems } = await startLive();
  const change = errorOf<TokenError>(session.setTokenRequest(OTHER_COURSE));
  await settle();
  await network.token.answer(403, { message: 'Not yours' });
  assert.equal((await change).failure, 'request');
  assert.deepEqual(finalProblems, ['The server refused this: Not yours.']);
  assert.deepEqual([session.state, network.streams.length], ['live', 1]);
  takesAbout(await network.timeToNextToken(), MINUTE_MS);
  assert.deepEqual(network.token.body, COURSE);
});

test('a request for which the user has to sign in leaves the session with the former one', async () => {
  const { session } = await startLive();
  const change = errorOf<TokenError>(session.setTokenRequest(OTHER_COURSE));
  await settle();
  await network.token.answer(401, {});
  await network.token.answer(401, {});
  assert.equal((await change).failure, 'sign-in');
  session.signedInAgain();
  await settle();
  assert.deepEqual(network.token.body, COURSE);
});

test('a request that is refused after another was granted leaves the session with that one', async () => {
  const { session } = await startLive();
  const granted = session.setTokenRequest(OTHER_COURSE);
  await settle();
  await network.token.give('second');
  await granted;
  const refused = errorOf(session.setTokenRequest(THIRD_COURSE));
  await settle();
  await network.token.answer(400, {});
  await refused;
  await network.timeToNextToken();
  assert.deepEqual(network.token.body, OTHER_COURSE);
});

test('a later request takes the place of one that is not answered yet', async () => {
  const { session } = await startLive();
  const former = errorOf<TokenError>(session.setTokenRequest(OTHER_COURSE));
  await settle();
  const formerCall = network.token;
  const later = session.setTokenRequest(THIRD_COURSE);
  await settle();
  assert.match((await former).message, /taken the place/);
  assert.equal(formerCall.isAborted, true);
  await network.token.give('third');
  await later;
  await network.timeToNextToken();
  assert.deepEqual(network.token.body, THIRD_COURSE);
});

test('a later request does not wait for a server that asked to wait', async () => {
  const { session } = await startLive();
  const former = errorOf<TokenError>(session.setTokenRequest(OTHER_COURSE));
  await settle();
  await network.token.answer(429, {}, { 'retry-after': '600' });
  session.setTokenRequest(THIRD_COURSE).catch(() => {});
  assert.match((await former).message, /taken the place/);
  await settle();
  assert.deepEqual(network.token.body, THIRD_COURSE);
});

test('a busy server delays a change, and does not end it', async () => {
  const { session, problems } = await startLive();
  const change = session.setTokenRequest(OTHER_COURSE);
  await settle();
  await network.token.answer(429, {}, { 'retry-after': '1' });
  await network.timeToNextToken();
  await network.token.give('second');
  await change;
  assert.deepEqual(problems, ['The server is busy.']);
});

// Renewal and expiry

for (const [life, lifeMs, renewalMs] of [
  ['an hour', HOUR_MS, 45 * MINUTE_MS],
  ['four minutes', 4 * MINUTE_MS, 3 * MINUTE_MS],
  ['a minute', MINUTE_MS, 36_000],
] as const) {
  test(`a token that lives for ${life} is renewed after ${renewalMs / 1_000} s`, async () => {
    await startWithoutTopics(lifeMs);
    takesAbout(await network.timeToNextToken(), renewalMs);
  });
}

test('a renewal loses and repeats nothing, and is not seen', async () => {
  const { states, told } = await startLive(4 * MINUTE_MS);
  const first = network.stream;
  for (let number = 1; network.tokens.length === 1; number++) {
    first.message(1, number);
    await pass(1_000);
  }
  const before = told.length;
  await network.token.give('second', 4 * MINUTE_MS);
  first.message(1, before + 1);
  assert.equal(network.stream.authorization, 'second');
  assert.deepEqual(network.stream.after, { page: 1, number: before });
  network.stream.message(1, before + 1).message(1, before + 2);
  assert.equal(first.isCancelled, true);
  assert.deepEqual(
    told,
    Array.from({ length: before + 2 }, (_, at) => `1:${at + 1}`),
  );
  assert.deepEqual(states, ['connecting', 'live']);
});

test('a token that is the same again leaves the stream alone', async () => {
  const { session } = await startLive();
  const renewal = session.setTokenRequest(COURSE);
  await settle();
  await network.token.give('first');
  await renewal;
  assert.equal(network.streams.length, 1);
});

test('a device whose clock is ahead uses its token, and renews it every minute', async () => {
  const { session } = await startWithoutTopics(-24 * HOUR_MS);
  const publication = session.publish('topic', 'Hello');
  await settle();
  assert.equal(network.publish.authorization, 'first');
  network.publish.accept();
  await publication;
  takesAbout(await network.timeToNextToken(), MINUTE_MS);
});

test('a device whose clock is behind renews its token every hour', async () => {
  await startWithoutTopics(25 * HOUR_MS);
  takesAbout(await network.timeToNextToken(), HOUR_MS);
});

test('while a renewal fails, the token is used until it expires and not longer', async () => {
  const { session } = await startWithoutTopics(4 * MINUTE_MS);
  await network.timeToNextToken();
  await network.token.breakOff();
  const early = session.publish('topic', 'Early');
  await settle();
  assert.equal(network.publish.authorization, 'first');
  network.publish.accept();
  await early;
  sleep(MINUTE_MS);
  const late = session.publish('topic', 'Late');
  await settle();
  assert.equal(network.publishes.length, 1);
  await pass(WATCH_MS);
  await network.token.give('second');
  assert.deepEqual([network.publish.text, network.publish.authorization], ['Late', 'second']);
  network.publish.accept();
  await late;
});

test('a publish after the token has expired waits for another token', async () => {
  const { session } = await startWithoutTopics();
  sleep(HOUR_MS);
  const publication = session.publish('topic', 'Good morning');
  await settle();
  assert.deepEqual([network.publishes.length, network.tokens.length], [0, 2]);
  await network.token.give('second');
  assert.equal(network.publish.authorization, 'second');
  network.publish.accept();
  await publication;
});

test('a token is good until the second in which it expires', async () => {
  const { session } = await startWithoutTopics();
  sleep(HOUR_MS - 1);
  session.publish('topic', 'Just in time').catch(() => {});
  await settle();
  assert.equal(network.publish.authorization, 'first');
});

test('after a sleep that the token did not outlive, no stream is opened with it', async () => {
  const { states, told } = await startLive();
  network.stream.message(1, 1);
  sleep(2 * HOUR_MS);
  await pass(WATCH_MS);
  assert.equal(states.at(-1), 'reconnecting');
  assert.deepEqual([network.streams.length, network.tokens.length], [1, 2]);
  await network.token.give('second');
  assert.equal(network.stream.authorization, 'second');
  network.stream.message(1, 1).message(1, 2);
  assert.equal(states.at(-1), 'live');
  assert.deepEqual(told, ['1:1', '1:2']);
});

test('after a short sleep, the stream is replaced with the same token', async () => {
  const { states } = await startLive();
  network.stream.message(1, 1);
  sleep(2 * MINUTE_MS);
  await pass(WATCH_MS);
  assert.deepEqual([network.streams.length, network.stream.authorization], [2, 'first']);
  network.stream.heartbeat();
  assert.deepEqual(states, ['connecting', 'live', 'reconnecting', 'live']);
});

test('a stream whose token Momento refuses goes on with another token', async () => {
  const { session, told } = await startLive();
  network.stream.message(1, 1).fail(UNAUTHENTICATED);
  assert.equal(await network.timeToNextToken(), 250);
  await network.token.give('second');
  assert.equal(network.stream.authorization, 'second');
  network.stream.message(1, 2);
  assert.deepEqual([session.state, told], ['live', ['1:1', '1:2']]);
});

// Calls

test('a publish that Momento accepts resolves', async () => {
  const { session } = await startWithoutTopics();
  const publication = session.publish('topic', 'Hello');
  await settle();
  assert.equal(network.publish.text, 'Hello');
  network.publish.accept();
  await publication;
});

test('a publish whose token is refused is made again with another token', async () => {
  const { session } = await startWithoutTopics();
  const publication = session.publish('topic', 'Hello');
  await settle();
  network.publish.fail(UNAUTHENTICATED);
  await settle();
  await network.token.give('second');
  assert.equal(network.publish.authorization, 'second');
  network.publish.accept();
  await publication;
});

test('a publish whose token is refused after it was replaced asks for no other', async () => {
  const { session } = await startWithoutTopics();
  const publication = session.publish('topic', 'Hello');
  await settle();
  const change = session.setTokenRequest(OTHER_COURSE);
  await settle();
  await network.token.give('second');
  await change;
  network.publish.fail(UNAUTHENTICATED);
  await settle();
  assert.deepEqual([network.tokens.length, network.publish.authorization], [2, 'second']);
  network.publish.accept();
  await publication;
});

test('publishes whose token is refused share one request for another', async () => {
  const { session } = await startWithoutTopics();
  const publications = [session.publish('topic', 'One'), session.publish('topic', 'Two')];
  await settle();
  for (const publish of [...network.publishes]) {
    publish.fail(UNAUTHENTICATED);
  }
  await settle();
  assert.equal(network.tokens.length, 2);
  await network.token.give('second');
  for (const publish of network.publishes.slice(2)) {
    publish.accept();
  }
  await Promise.all(publications);
});

for (const [name, code, error] of [
  ['a limit', RESOURCE_EXHAUSTED, 'LIMIT_EXCEEDED_ERROR'],
  ['an outage', UNAVAILABLE, 'SERVER_UNAVAILABLE'],
  ['no answer', 4, 'TIMEOUT_ERROR'],
  ['an internal error', 13, 'INTERNAL_SERVER_ERROR'],
  ['a cancelled call', 1, 'CANCELLED_ERROR'],
  ['an unknown error', 2, 'UNKNOWN_SERVICE_ERROR'],
] as const) {
  test(`${name} is tried again three times, after pauses that double`, async () => {
    const { session } = await startWithoutTopics();
    const publication = errorOf<MomentoError>(session.publish('topic', 'Hello'));
    await settle();
    for (const pauseMs of [250, 500, 1_000]) {
      const before = network.publishes.length;
      network.publish.fail(code);
      await pass(pauseMs - 1);
      assert.equal(network.publishes.length, before);
      await pass(1);
      assert.equal(network.publishes.length, before + 1);
    }
    network.publish.fail(code);
    assert.equal((await publication).code, error);
  });
}

test('a publish that is not permitted rejects at once', async () => {
  const { session } = await startWithoutTopics();
  const publication = errorOf<MomentoError>(session.publish('topic', 'Hello'));
  await settle();
  network.publish.fail(PERMISSION_DENIED);
  assert.equal((await publication).code, 'PERMISSION_ERROR');
  assert.equal(network.publishes.length, 1);
});

test('a message of more than 4 KB is not sent, counted in bytes', async () => {
  const { session } = await startWithoutTopics();
  const error = await errorOf<MomentoError>(session.publish('topic', `${'é'.repeat(2048)}x`));
  assert.equal(error.code, 'TOO_LARGE');
  assert.equal(network.publishes.length, 0);
  session.publish('topic', 'é'.repeat(2048)).catch(() => {});
  await settle();
  assert.equal(network.publishes.length, 1);
});

test('a publish before the first token waits for it', async () => {
  const { session } = await start();
  session.publish('topic', 'Hello').catch(() => {});
  await settle();
  assert.deepEqual([network.publishes.length, network.tokens.length], [0, 1]);
  await network.token.give('first');
  assert.equal(network.publish.authorization, 'first');
});

test('a publish for which there is no token rejects', async () => {
  const { session } = await start();
  const publication = errorOf<MomentoError>(session.publish('topic', 'Hello'));
  await network.token.answer(403, {});
  assert.equal((await publication).code, 'AUTHENTICATION_ERROR');
});

// The end

test('a closed session asks for nothing more, and its calls reject', async () => {
  const { session, states, told } = await startLive();
  const stream = network.stream;
  session.setTokenRequest(OTHER_COURSE).catch(() => {});
  await settle();
  session.close();
  await settle();
  assert.equal(network.token.isAborted, true);
  assert.equal(stream.isCancelled, true);
  stream.message(1, 1);
  await pass(2 * HOUR_MS);
  assert.deepEqual([network.tokens.length, network.streams.length, told], [2, 1, []]);
  assert.deepEqual(states, ['connecting', 'live', 'closed']);
  assert.equal((await errorOf<MomentoError>(session.publish('topic', 'Hello'))).code, 'SIGN_IN_NEEDED');
});
