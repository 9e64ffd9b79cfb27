/**
 * A chat in many languages: `{"room", "language", "text", "id"}` on topic `chat`. The webhook publishes each message on
 * `chat:<room>:<language>`, in that language, and keeps the newest ones in the list of the same name.
 */

import { fromAddress, toAddress } from './address';
import { Composer } from './composer';
import { announce, byId, element, parseObject } from './elements';
import type { IdField } from './id-field';
import { languageName, type Message, MessageList } from './message-list';
import type { MomentoSession, TopicMessage } from './momento';
import { bytesOf } from './momento/limits';
import { StoredList } from './stored-list';
import type { Tab } from './tab';

const TOPIC = 'chat';
/** What the webhook takes, so that a translation fits into a message of Momento's. */
const TEXT_BYTES = 900;

export class ChatTab implements Tab {
  readonly topic = TOPIC;
  readonly field: IdField;
  #session: MomentoSession | null = null;
  #unsubscribe = () => {};
  readonly #language = byId<HTMLSelectElement>('language');
  readonly #empty = byId('messages-empty');
  readonly #isOwn = (author: string) => author === this.#session?.token?.tokenId;
  readonly #list = new MessageList(byId('messages'), false, this.#isOwn);

  readonly #composer = new Composer({
    form: byId('message-form'),
    noun: 'message',
    toMessage: (text, id) =>
      JSON.stringify({ room: this.field.value, language: this.#language.value, text, id }),
    bytesOf: (text) => bytesOf(JSON.stringify(text)),
    maxBytes: TEXT_BYTES,
    publish: async (message) => this.#session?.publish(TOPIC, message),
  });

  readonly #stored = new StoredList({
    read: async (key) => (await this.#session?.readList(key)) ?? [],
    show: (entries) => {
      this.#list.setStored(entries.map(fromEntry).filter((message) => message !== null));
      this.#showEmpty('Nobody has written in this room yet.', this.#list.isEmpty);
    },
    showFailure: () => this.#showEmpty('The messages cannot be read at the moment. Trying again…', true),
    // What arrives has passed the webhook.
    isIncomplete: () => false,
    giveUp: () => {},
  });

  constructor(field: IdField, languages: readonly string[]) {
    this.field = field;
    for (const code of languages) {
      const option = element('option', '', languageName(code, code));
      option.value = code;
      option.lang = code;
      this.#language.append(option);
    }
    const wanted = [fromAddress('language'), ...navigator.languages.map((one) => one.split('-')[0])];
    this.#language.value = wanted.find((one) => languages.includes(one ?? '')) ?? languages[0] ?? '';
    this.#language.addEventListener('change', () => this.#changeLanguage());
  }

  open(session: MomentoSession): void {
    this.#session = session;
    toAddress('language', this.#language.value);
    this.#showEmpty('Reading…', true);
    const channel = `chat:${this.field.value}:${this.#language.value}`;
    this.#unsubscribe = session.subscribe(channel, {
      onMessage: (message) => this.#onMessage(message),
      onGap: () => this.refresh(),
    });
    this.#stored.open(channel);
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

  #changeLanguage(): void {
    if (this.#session) {
      this.close();
      this.open(this.#session);
    }
  }

  #onMessage({ text, age }: TopicMessage): void {
    const message = fromEntry(text);
    if (!message) {
      return;
    }
    const isOwn = this.#isOwn(message.author);
    if (isOwn) {
      this.#composer.arrived(message.id);
    }
    const isNew = age === 'new';
    if (this.#list.arrive(message, isNew)) {
      this.#showEmpty('', false);
      if (isNew && !isOwn) {
        announce(`${message.author}: ${message.text}`);
      }
    }
  }

  #showEmpty(text: string, isShown: boolean): void {
    this.#empty.textContent = text;
    this.#empty.hidden = !isShown;
  }
}

/** Return the message that the webhook has published or stored; null when there is none. */
function fromEntry(entry: string | null): Message | null {
  const { userID, text, original, originalLanguage, id, publishedAt } = parseObject(entry);
  if (
    typeof userID !== 'string' ||
    typeof text !== 'string' ||
    typeof id !== 'string' ||
    typeof publishedAt !== 'number'
  ) {
    return null;
  }
  const isTranslated =
    typeof original === 'string' && typeof originalLanguage === 'string' && original !== text;
  return {
    author: userID,
    text,
    id,
    at: publishedAt,
    ...(isTranslated && { original: { text: original, language: originalLanguage } }),
  };
}
