// Momento's own SDK for Node against the local Momento, whose addresses are in the environment.

import assert from "node:assert/strict";
import { EventEmitter, on, once } from "node:events";
import { after, test } from "node:test";
import {
  AuthClient,
  AuthClientConfigurations,
  CacheClient,
  CacheDictionaryFetchResponse,
  CacheGetResponse,
  CacheListFetchResponse,
  CacheSetFetchResponse,
  CacheSortedSetFetchResponse,
  CollectionTtl,
  Configurations,
  CreateCacheResponse,
  CredentialProvider,
  DefaultMomentoLoggerFactory,
  DefaultMomentoLoggerLevel,
  DeleteCacheResponse,
  DisposableTokenScopes,
  ExpiresIn,
  GenerateDisposableTokenResponse,
  ListCachesResponse,
  MomentoErrorCode,
  MomentoLocalProvider,
  SortedSetOrder,
  TopicClient,
  TopicConfigurations,
  TopicPublishResponse,
  TopicSubscribe,
} from "@gomomento/sdk";

const { MOMENTO, MOMENTO_API_KEY, MOMENTO_WITHOUT_KEYS, MOMENTO_WITHOUT_KEYS_ADMIN } = process.env;
const CACHE = "cache";
const TOPIC = "topic";

// A v2 key is taken only for an endpoint with TLS; inside the older form it is the same key.
const API_KEY = btoa(JSON.stringify({ endpoint: MOMENTO, api_key: MOMENTO_API_KEY }));
const QUIET = new DefaultMomentoLoggerFactory(DefaultMomentoLoggerLevel.ERROR);

const endings = [];
// Node runs on for as long as a connection is open.
after(() => endings.forEach((end) => end()));

function credentials(authToken = API_KEY) {
  return CredentialProvider.fromString({
    authToken,
    endpointOverrides: {
      cacheEndpoint: MOMENTO,
      controlEndpoint: MOMENTO,
      tokenEndpoint: MOMENTO,
      secureConnection: false,
    },
  });
}

async function cacheClient(credentialProvider = credentials()) {
  const configuration = Configurations.Laptop.latest(QUIET);
  const client = await CacheClient.create({ configuration, credentialProvider, defaultTtlSeconds: 60 });
  endings.push(() => client.close());
  return client;
}

function topicClient(credentialProvider = credentials()) {
  return new TopicClient({ configuration: TopicConfigurations.Default.latest(QUIET), credentialProvider });
}

function authClient(credentialProvider) {
  const configuration = AuthClientConfigurations.Default.latest(QUIET);
  return new AuthClient({ configuration, credentialProvider });
}

async function token(scope, expiresIn = ExpiresIn.minutes(5)) {
  const client = authClient(credentials());
  const minted = await client.generateDisposableToken(scope, expiresIn, { tokenId: "taylor" });
  assert.equal(minted.type, GenerateDisposableTokenResponse.Success, minted.toString());
  return minted.authToken;
}

/** Sends metadata with each attempt of each call, and adds the call's request to `sent`. */
function metadataMiddleware(metadata, sent = []) {
  return {
    shouldLoadLate: true,
    onNewRequest: () => ({
      onRequestMetadata: async (given) => {
        Object.entries(metadata).forEach(([name, value]) => given._grpcMetadata.set(name, value));
        return given;
      },
      onRequestBody: async (request) => {
        sent.push(request);
        return request;
      },
      onResponseMetadata: async (given) => given,
      onResponseBody: async (response) => response,
      onResponseStatus: async (status) => status,
    }),
  };
}

/** Subscribes, and returns a function that waits for the next item, discontinuity or error. */
async function subscribed(client, topic = TOPIC) {
  const emitter = new EventEmitter();
  const events = on(emitter, "event", { signal: AbortSignal.timeout(10_000) });
  const response = await client.subscribe(CACHE, topic, {
    onItem: (item) => emitter.emit("event", item),
    onDiscontinuity: (discontinuity) => emitter.emit("event", discontinuity),
    onError: (error) => emitter.emit("event", error),
  });
  assert.ok(response instanceof TopicSubscribe.Subscription, response.toString());
  endings.push(() => response.unsubscribe());
  return async () => (await events.next()).value[0];
}

test("caches are created, listed and deleted", async () => {
  const client = await cacheClient();
  assert.equal((await client.createCache("new")).type, CreateCacheResponse.Success);
  assert.equal((await client.createCache("new")).type, CreateCacheResponse.AlreadyExists);
  const listed = await client.listCaches();
  assert.equal(listed.type, ListCachesResponse.Success);
  assert.ok(listed.getCaches().some((cache) => cache.getName() === "new"));
  assert.equal((await client.deleteCache("new")).type, DeleteCacheResponse.Success);
  const response = await client.get("new", "key");
  assert.equal(response.type, CacheGetResponse.Error);
  assert.equal(response.errorCode(), MomentoErrorCode.CACHE_NOT_FOUND_ERROR);
});

test("values are set, read, incremented and deleted", async () => {
  const client = await cacheClient();
  assert.equal((await client.get(CACHE, "scalar")).type, CacheGetResponse.Miss);
  await client.set(CACHE, "scalar", "välue");
  assert.equal((await client.get(CACHE, "scalar")).value(), "välue");
  await client.set(CACHE, "bytes", new Uint8Array([0, 255]));
  assert.deepEqual([...(await client.get(CACHE, "bytes")).valueUint8Array()], [0, 255]);
  assert.equal((await client.increment(CACHE, "count", 3)).value(), 3);
  await client.delete(CACHE, "scalar");
  assert.equal((await client.get(CACHE, "scalar")).type, CacheGetResponse.Miss);
});

test("a value ends with its time to live", async () => {
  const client = await cacheClient();
  await client.set(CACHE, "short-lived", "value", { ttl: 60 });
  const remaining = await client.itemGetTtl(CACHE, "short-lived");
  assert.ok(remaining.remainingTtlMillis() > 55_000 && remaining.remainingTtlMillis() <= 60_000);
});

test("lists", async () => {
  const client = await cacheClient();
  assert.equal((await client.listFetch(CACHE, "list")).type, CacheListFetchResponse.Miss);
  for (const value of ["a", "b", "c"]) {
    await client.listPushFront(CACHE, "list", value, { truncateBackToSize: 2, ttl: CollectionTtl.of(60) });
  }
  assert.deepEqual((await client.listFetch(CACHE, "list")).value(), ["c", "b"]);
  await client.listConcatenateBack(CACHE, "list", ["d", "e"]);
  assert.deepEqual((await client.listFetch(CACHE, "list", { startIndex: 1, endIndex: 3 })).value(), ["b", "d"]);
  assert.equal((await client.listPopBack(CACHE, "list")).value(), "e");
  assert.equal((await client.listLength(CACHE, "list")).length(), 3);
});

test("dictionaries", async () => {
  const client = await cacheClient();
  await client.dictionarySetFields(CACHE, "dictionary", { one: "1", two: "2" });
  assert.equal((await client.dictionaryGetField(CACHE, "dictionary", "one")).value(), "1");
  assert.equal((await client.dictionaryIncrement(CACHE, "dictionary", "two", 5)).value(), 7);
  await client.dictionaryRemoveField(CACHE, "dictionary", "one");
  const fetched = await client.dictionaryFetch(CACHE, "dictionary");
  assert.equal(fetched.type, CacheDictionaryFetchResponse.Hit);
  assert.deepEqual({ ...fetched.value() }, { two: "7" });
});

test("sets", async () => {
  const client = await cacheClient();
  await client.setAddElements(CACHE, "set", ["a", "b", "b"]);
  await client.setRemoveElement(CACHE, "set", "a");
  assert.equal((await client.setContainsElement(CACHE, "set", "b")).containsElement(), true);
  const fetched = await client.setFetch(CACHE, "set");
  assert.equal(fetched.type, CacheSetFetchResponse.Hit);
  assert.deepEqual(fetched.valueArray(), ["b"]);
});

test("sorted sets", async () => {
  const client = await cacheClient();
  await client.sortedSetPutElements(CACHE, "sorted", { low: 1, middle: 2, high: 3 });
  await client.sortedSetIncrementScore(CACHE, "sorted", "low", 10);
  assert.equal((await client.sortedSetGetRank(CACHE, "sorted", "low")).rank(), 2);
  const fetched = await client.sortedSetFetchByRank(CACHE, "sorted", {
    startRank: 0,
    endRank: 2,
    order: SortedSetOrder.Descending,
  });
  assert.equal(fetched.type, CacheSortedSetFetchResponse.Hit);
  assert.deepEqual(fetched.value(), [
    { value: "low", score: 11 },
    { value: "high", score: 3 },
  ]);
});

test("a message tells who has published it", async () => {
  const next = await subscribed(topicClient());
  const taylor = topicClient(credentials(await token(DisposableTokenScopes.topicPublishOnly(CACHE, TOPIC))));
  for (const [publisher, id] of [
    [taylor, "taylor"],
    [topicClient(), ""],
  ]) {
    assert.equal((await publisher.publish(CACHE, TOPIC, "héllo")).type, TopicPublishResponse.Success);
    const item = await next();
    assert.equal(item.valueString(), "héllo");
    assert.equal(item.tokenId() ?? "", id);
  }
});

test("a message may be binary", async () => {
  const client = topicClient();
  const next = await subscribed(client, "binary");
  await client.publish(CACHE, "binary", new Uint8Array([0, 255]));
  assert.deepEqual([...(await next()).valueUint8Array()], [0, 255]);
});

test("a token may do only what it says", async () => {
  const reader = credentials(await token(DisposableTokenScopes.cacheKeyReadOnly(CACHE, "mine")));
  const cache = await cacheClient(reader);
  assert.equal((await cache.get(CACHE, "mine")).type, CacheGetResponse.Miss);
  const subscriber = topicClient(credentials(await token(DisposableTokenScopes.topicSubscribeOnly(CACHE, TOPIC))));
  for (const response of [
    await cache.get(CACHE, "another's"),
    await cache.set(CACHE, "mine", "value"),
    await cache.createCache("mine"),
    await topicClient(reader).publish(CACHE, TOPIC, "hello"),
    await subscriber.publish(CACHE, TOPIC, "hello"),
    await subscriber.subscribe(CACHE, "another", {}),
    await authClient(reader).generateDisposableToken(
      DisposableTokenScopes.cacheReadOnly(CACHE),
      ExpiresIn.minutes(1),
    ),
  ]) {
    assert.equal(response.errorCode?.(), MomentoErrorCode.PERMISSION_ERROR, response.toString());
  }
});

test("a token that has expired ends its subscription and is refused", async () => {
  const scope = DisposableTokenScopes.topicPublishSubscribe(CACHE, TOPIC);
  const client = topicClient(credentials(await token(scope, ExpiresIn.seconds(2))));
  const next = await subscribed(client, TOPIC);
  let event = await next();
  while (!(event instanceof TopicSubscribe.Error)) {
    event = await next();
  }
  assert.equal(event.errorCode(), MomentoErrorCode.AUTHENTICATION_ERROR);
  const response = await client.publish(CACHE, TOPIC, "too late");
  assert.equal(response.errorCode?.(), MomentoErrorCode.AUTHENTICATION_ERROR);
});

test("a wrong key is refused", async () => {
  const wrong = btoa(JSON.stringify({ endpoint: MOMENTO, api_key: "wrong" }));
  const response = await (await cacheClient(credentials(wrong))).get(CACHE, "key");
  assert.equal(response.errorCode?.(), MomentoErrorCode.AUTHENTICATION_ERROR);
});

test("a subscription begins with the latest message", async () => {
  const client = topicClient();
  await client.publish(CACHE, "latest", "older");
  await client.publish(CACHE, "latest", "latest");
  const next = await subscribed(client, "latest");
  assert.equal((await next()).valueString(), "latest");
  await client.publish(CACHE, "latest", "next");
  assert.equal((await next()).valueString(), "next");
});

test("2,000 subscriptions over 20 connections at once all succeed", async () => {
  const configuration = TopicConfigurations.Default.latest(QUIET)
    .withNumStreamConnections(20)
    .withClientTimeoutMillis(25_000);
  const client = new TopicClient({ configuration, credentialProvider: credentials() });
  const lost = [];
  const handlers = { onItem() {}, onError: (error) => lost.push(error), onConnectionLost: () => lost.push("lost") };
  const responses = await Promise.all(
    Array.from({ length: 2000 }, () => client.subscribe(CACHE, "crowded", handlers)),
  );
  const refused = responses.filter((response) => !(response instanceof TopicSubscribe.Subscription));
  assert.deepEqual(refused.map(String), []);
  assert.deepEqual(lost.map(String), []);
  responses.forEach((response) => response.unsubscribe());
});

test("an injected error ends a stream of heartbeats", async () => {
  for (const [error, recoverable] of [
    ["unavailable", true],
    ["not-found", false],
  ]) {
    const client = new TopicClient({
      configuration: TopicConfigurations.Default.latest(QUIET).withMiddlewares([
        metadataMiddleware({
          "request-id": error,
          "stream-error-rpcs": "topic-subscribe",
          "stream-error": error,
          "stream-error-message-limit": "3",
        }),
      ]),
      credentialProvider: credentials(),
    });
    const ended = new EventEmitter();
    const errors = [];
    const lost = once(ended, "lost", { signal: AbortSignal.timeout(14_000) });
    const response = await client.subscribe(CACHE, "broken", {
      onItem() {},
      onError: (given) => errors.push(given.errorCode()),
      onConnectionLost: () => ended.emit("lost"),
    });
    await lost;
    assert.deepEqual(errors, recoverable ? [] : [MomentoErrorCode.CACHE_NOT_FOUND_ERROR]);
    response.unsubscribe();
  }
});

test("a call is tried again for as long as its faults last", async () => {
  for (const [faults, attempts, type] of [
    [{ "error-rpcs": "get", "return-error": "unavailable", "error-count": "2" }, 3, CacheGetResponse.Miss],
    [{ "error-rpcs": "get", "return-error": "unavailable" }, 4, CacheGetResponse.Error],
    [{ "error-rpcs": "get", "return-error": "not-found" }, 1, CacheGetResponse.Error],
    [{ "delay-rpcs": "get", "delay-ms": "100" }, 1, CacheGetResponse.Miss],
  ]) {
    const sent = [];
    const configuration = Configurations.Laptop.latest(QUIET).withMiddlewares([
      metadataMiddleware({ "request-id": JSON.stringify(faults), ...faults }, sent),
    ]);
    const client = await CacheClient.create({
      configuration,
      credentialProvider: credentials(),
      defaultTtlSeconds: 60,
    });
    endings.push(() => client.close());
    assert.equal((await client.get(CACHE, "never set")).type, type, JSON.stringify(faults));
    assert.equal(sent.length, attempts, JSON.stringify(faults));
  }
});

test("a subscription goes on when its port is unblocked", async () => {
  const [hostname, port] = MOMENTO_WITHOUT_KEYS.split(":");
  const client = topicClient(new MomentoLocalProvider({ hostname, port: Number(port) }));
  const emitter = new EventEmitter();
  const signal = AbortSignal.timeout(25_000);
  const errors = [];
  const response = await client.subscribe(CACHE, "blocked", {
    onItem: (item) => emitter.emit("item", item.valueString()),
    onHeartbeat: () => emitter.emit("heartbeat"),
    onConnectionLost: () => emitter.emit("lost"),
    onError: (error) => errors.push(error),
  });
  assert.ok(response instanceof TopicSubscribe.Subscription, response.toString());
  endings.push(() => response.unsubscribe());
  await once(emitter, "heartbeat", { signal });
  for (const message of ["first", "second", "third"]) {
    const lost = once(emitter, "lost", { signal });
    await fetch(`${MOMENTO_WITHOUT_KEYS_ADMIN}/block`);
    await lost;
    const back = once(emitter, "heartbeat", { signal });
    const unblocked = await fetch(`${MOMENTO_WITHOUT_KEYS_ADMIN}/unblock`);
    assert.equal(unblocked.status, 200);
    await back;
    const item = once(emitter, "item", { signal });
    assert.equal((await client.publish(CACHE, "blocked", message)).type, TopicPublishResponse.Success);
    assert.deepEqual(await item, [message]);
  }
  assert.deepEqual(errors.map(String), []);
});

test("calls that a block interrupts are unavailable, not cancelled", async () => {
  const [hostname, port] = MOMENTO_WITHOUT_KEYS.split(":");
  const delay = metadataMiddleware({ "delay-rpcs": "increment", "delay-ms": "20000" });
  const client = await CacheClient.create({
    configuration: Configurations.Laptop.latest(QUIET).withMiddlewares([delay]).withClientTimeoutMillis(20_000),
    credentialProvider: new MomentoLocalProvider({ hostname, port: Number(port) }),
    defaultTtlSeconds: 60,
  });
  endings.push(() => client.close());
  const slow = Array.from({ length: 5 }, () => client.increment(CACHE, "slow"));
  // Sent after the slow calls: when it is answered, they have arrived.
  await client.get(CACHE, "key");
  await fetch(`${MOMENTO_WITHOUT_KEYS_ADMIN}/block`);
  const responses = await Promise.all(slow);
  await fetch(`${MOMENTO_WITHOUT_KEYS_ADMIN}/unblock`);
  for (const response of responses) {
    assert.equal(response.errorCode?.(), MomentoErrorCode.SERVER_UNAVAILABLE, response.toString());
  }
});

test("no key is needed where Momento is started without", async () => {
  const [hostname, port] = MOMENTO_WITHOUT_KEYS.split(":");
  const credentialProvider = new MomentoLocalProvider({ hostname, port: Number(port) });
  const cache = await cacheClient(credentialProvider);
  await cache.set(CACHE, "key", "value");
  assert.equal((await cache.get(CACHE, "key")).value(), "value");
  const topics = topicClient(credentialProvider);
  const next = await subscribed(topics);
  await topics.publish(CACHE, TOPIC, "hello");
  assert.equal((await next()).valueString(), "hello");
});
