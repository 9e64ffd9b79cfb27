/** Comments on a course: `{"courseId", "comment", "id"}` on topic `comment`, stored in the list `<courseId>`. */

import { Composer, SAMPLE_ID } from './composer';
import { announce, byId, parseObject } from './elements';
import type { IdField } from './id-field';
import { type Message, MessageList } from './message-list';
import type { MomentoSession, TopicMessage } from './momento';
import { bytesOf, MESSAGE_BYTES } from './momento/limits';
import { StoredList } from './stored-list';
import type { Tab } from './tab';

const TOPIC = 'comment';
/** A longer id is refused by the webhook. */
const LONGEST_ID = 64;

export class CommentsTab implements Tab {
  readonly topic = TOPIC;
  readonly field: IdField;
  #session: MomentoSession | null = null;
  #unsubscribe = () => {};
  readonly #empty = byId('comments-empty');
  readonly #isOwn = (author: string) => author === this.#session?.token?.tokenId;
  readonly #list = new MessageList(byId('comments'), true, this.#isOwn);

  readonly #composer = new Composer({
    form: byId('comment-form'),
    noun: 'comment',
    toMessage: (text, id) => toMessage(this.field.value, text, id),
    bytesOf: (text) => bytesOf(toMessage(this.field.value, text, SAMPLE_ID)),
    maxBytes: MESSAGE_BYTES,
    publish: async (message) => this.#session?.publish(TOPIC, message),
  });

  readonly #stored = new StoredList({
    read: async (key) => (await this.#session?.readList(key)) ?? [],
    show: (entries) => this.#showStored(entries),
    showFailure: () => {
      this.#showEmpty('The saved comments cannot be read at the moment. Trying again…', true);
    },
    isIncomplete: () => this.#list.awaitsStored,
    giveUp: () => this.#list.giveUpAwaited(),
  });

  constructor(field: IdField) {
    this.field = field;
  }

  open(session: MomentoSession): void {
    this.#session = session;
    this.#composer.retarget();
    this.#showEmpty('Reading…', true);
    this.#unsubscribe = session.subscribe(TOPIC, {
      onMessage: (message) => this.#onMessage(message),
      // What was missed is stored, or will be in a moment.
      onGap: () => this.refresh(),
    });
    this.#stored.open(this.field.value);
  }

  close(): void {
    this.#unsubscribe();
    this.#stored.close();
    this.#list.clear();
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

  #onMessage({ publisher, text, position, age }: TopicMessage): void {
    const { courseId, comment, id: givenId } = parseObject(text);
    if (String(courseId) !== this.field.value || typeof comment !== 'string') {
      return;
    }
    const id = typeof givenId === 'string' && givenId !== '' && givenId.length <= LONGEST_ID ? givenId : null;
    const isOwn = this.#isOwn(publisher);
    if (isOwn) {
      this.#composer.arrived(id);
    }
    const isNew = age === 'new';
    const message = {
      author: publisher,
      text: comment,
      id,
      ...(id === null && { idEnding: `-${position.number}` }),
      // What was missed gets the time that is stored with it.
      at: isNew ? Date.now() : null,
    };
    if (this.#list.arrive(message, isNew)) {
      this.#showEmpty('', false);
      this.#stored.expectMore();
      if (isNew && !isOwn) {
        announce(`${publisher}: ${comment}`);
      }
    }
  }

  #showStored(entries: readonly string[]): void {
    const stored = entries.map(fromStored).filter((message) => message !== null);
    for (const { id } of stored.filter(({ author }) => this.#isOwn(author))) {
      this.#composer.arrived(id);
    }
    this.#list.setStored(stored);
    this.#showEmpty('Nobody has commented on this course yet.', this.#list.isEmpty);
  }

  #showEmpty(text: string, isShown: boolean): void {
    this.#empty.textContent = text;
    this.#empty.hidden = !isShown;
  }
}

/** Return the message that publishes a comment; a course that looks like a number is one. */
function toMessage(courseId: string, comment: string, id: string): string {
  const number = Number(courseId);
  const isNumber = Number.isSafeInteger(number) && String(number) === courseId;
  return JSON.stringify({ courseId: isNumber ? number : courseId, comment, id });
}

/** Return the comment in an entry of a stored list; null when there is none. */
function fromStored(entry: string): Message | null {
  const { userID, comment, id, publishedAt } = parseObject(entry);
  return typeof userID === 'string' &&
    typeof comment === 'string' &&
    typeof id === 'string' &&
    typeof publishedAt === 'number'
    ? { author: userID, text: comment, id, at: publishedAt }
    : null;
}
