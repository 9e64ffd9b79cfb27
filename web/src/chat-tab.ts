/**
 * A chat in many languages: `{"room", "language", "text", "id"}` on topic `chat`. The webhook publishes each message on
 * `chat:<room>:<language>`, in that language, and keeps the newest ones in the list of the same name.
 */

import { fromAddress, toAddress } from './address';
import { byId, element, parseObject } from './elements';
import type { IdField } from './id-field';
import { languageName, type Message } from './message-list';
import { MessagesTab } from './messages-tab';
import type { MomentoSession, TopicMessage } from './momento';
import { bytesOf } from './momento/limits';

/** The webhook accepts no more, so that a translation fits into one message. */
const TEXT_BYTES = 900;

export class ChatTab extends MessagesTab {
  readonly #language = byId<HTMLSelectElement>('language');

  constructor(field: IdField, languages: readonly string[]) {
    super(field, {
      topic: 'chat',
      noun: 'message',
      textWhenEmpty: 'Nobody has written in this room yet.',
      maxBytes: TEXT_BYTES,
      marksStored: false,
    });
    for (const code of languages) {
      const option = element('option', '', languageName(code, code));
      option.value = code;
      option.lang = code;
      this.#language.append(option);
    }
    const wanted = [fromAddress('language'), ...navigator.languages.map((one) => one.split('-')[0])];
    this.#language.value = wanted.find((one) => languages.includes(one ?? '')) ?? languages[0] ?? '';
    this.#language.addEventListener('change', () => this.reopen());
  }

  override open(session: MomentoSession): void {
    toAddress('language', this.#language.value);
    super.open(session);
  }

  protected override get source() {
    const channel = `chat:${this.field.value}:${this.#language.value}`;
    return { topic: channel, list: channel };
  }

  protected override toMessage(text: string, id: string): string {
    return JSON.stringify({ room: this.field.value, language: this.#language.value, text, id });
  }

  protected override bytesOf(text: string): number {
    return bytesOf(JSON.stringify(text));
  }

  protected override fromTopic({ text }: TopicMessage): Message | null {
    return fromEntry(text);
  }

  protected override fromStored(entry: string): Message | null {
    return fromEntry(entry);
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
