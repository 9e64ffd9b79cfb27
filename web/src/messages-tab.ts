/** What tabs of messages have in common: a composer, and the messages that are stored and that arrive. */

import { Composer } from './composer';
import { announce, byId } from './elements';
import type { IdField } from './id-field';
import { type Message, MessageList } from './message-list';
import type { MomentoSession, TopicMessage } from './momento';
import { StoredList } from './stored-list';
import type { Tab } from './tab';

export interface MessagesTabOptions {
  /** The topic that messages are published on. */
  readonly topic: string;
  /** What the user calls a message, such as `comment`. The ids of the tab's elements begin with it. */
  readonly noun: string;
  /** Shown in place of an empty list. */
  readonly textWhenEmpty: string;
  /** What `bytesOf` may return at most. */
  readonly maxBytes: number;
  /** Messages arrive before they are stored. With this, the list marks those that are stored. */
  readonly marksStored: boolean;
}

export abstract class MessagesTab implements Tab {
  readonly topic: string;
  readonly field: IdField;
  readonly #options: MessagesTabOptions;
  readonly #empty: HTMLElement;
  readonly #list: MessageList;
  readonly #composer: Composer;
  readonly #stored: StoredList;
  readonly #isOwn = (author: string) => author === this.#session?.token?.tokenId;
  #session: MomentoSession | null = null;
  #unsubscribe = () => {};

  constructor(field: IdField, options: MessagesTabOptions) {
    const { topic, noun, maxBytes, marksStored } = options;
    this.topic = topic;
    this.field = field;
    this.#options = options;
    this.#empty = byId(`${noun}s-empty`);
    this.#list = new MessageList(byId(`${noun}s`), marksStored, this.#isOwn);
    this.#composer = new Composer({
      form: byId(`${noun}-form`),
      noun,
      maxBytes,
      toMessage: (text, id) => this.toMessage(text, id),
      bytesOf: (text) => this.bytesOf(text),
      publish: async (message) => this.#session?.publish(topic, message),
    });
    this.#stored = new StoredList({
      read: async (key) => (await this.#session?.readList(key)) ?? [],
      show: (entries) => this.#showStored(entries),
      showFailure: () => this.#showEmpty(`The ${noun}s cannot be read at the moment. Trying again…`, true),
      isIncomplete: () => marksStored && this.#list.awaitsStored,
      giveUp: () => this.#list.giveUpAwaited(),
    });
  }

  /** Return the message that publishes this text. `id` stays the same when it is published again. */
  protected abstract toMessage(text: string, id: string): string;

  /** Return how much of `maxBytes` this text takes. */
  protected abstract bytesOf(text: string): number;

  /** The topic on which the messages arrive, and the list that they are stored in. */
  protected abstract get source(): { readonly topic: string; readonly list: string };

  /** Return the message that has arrived; null when it is none that this tab shows. */
  protected abstract fromTopic(received: TopicMessage): Message | null;

  /** Return the message in an entry of the stored list; null when there is none. */
  protected abstract fromStored(entry: string): Message | null;

  open(session: MomentoSession): void {
    this.#session = session;
    this.#composer.retarget();
    this.#showEmpty('Reading…', true);
    const { topic, list } = this.source;
    this.#unsubscribe = session.subscribe(topic, {
      onMessage: (message) => this.#onMessage(message),
      // What was missed is stored, or will be in a moment.
      onGap: () => this.refresh(),
    });
    this.#stored.open(list);
  }

  close(): void {
    this.#unsubscribe();
    this.#stored.close();
    this.#list.clear();
  }

  /** `source` has changed: show what is there. */
  protected reopen(): void {
    if (this.#session) {
      this.close();
      this.open(this.#session);
    }
  }

  refresh(): void {
    this.#stored.refresh();
  }

  restore(): void {
    this.#composer.restore();
  }

  forget(): void {
    this.#session = null;
    this.#composer.clear();
  }

  focus(): void {
    this.#composer.focus();
  }

  #onMessage(received: TopicMessage): void {
    const message = this.fromTopic(received);
    if (!message) {
      return;
    }
    const isOwn = this.#isOwn(message.author);
    if (isOwn) {
      this.#composer.arrived(message.id);
    }
    const isNew = received.age === 'new';
    if (this.#list.arrive(message, isNew)) {
      this.#showEmpty('', false);
      if (this.#options.marksStored) {
        this.#stored.expectMore();
      }
      if (isNew && !isOwn) {
        announce(`${message.author}: ${message.text}`);
      }
    }
  }

  #showStored(entries: readonly string[]): void {
    const stored = entries.map((entry) => this.fromStored(entry)).filter((message) => message !== null);
    for (const { id } of stored.filter(({ author }) => this.#isOwn(author))) {
      this.#composer.arrived(id);
    }
    this.#list.setStored(stored);
    this.#showEmpty(this.#options.textWhenEmpty, this.#list.isEmpty);
  }

  #showEmpty(text: string, isShown: boolean): void {
    this.#empty.textContent = text;
    this.#empty.hidden = !isShown;
  }
}
