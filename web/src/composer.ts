/** The form in which a user writes and publishes a message. A reload keeps the draft. */

import { announce, onSubmit, within } from './elements';
import { FieldError } from './field-error';
import { recall, remember } from './memory';
import type { MomentoError } from './momento';

export interface ComposerOptions {
  readonly form: HTMLFormElement;
  /** What the user calls it, such as `comment`. */
  readonly noun: string;
  /** Return the message to publish. `id` stays the same when the same text is published again. */
  toMessage(text: string, id: string): string;
  /** Return how much of `maxBytes` this text takes. */
  bytesOf(text: string): number;
  readonly maxBytes: number;
  publish(message: string): Promise<void>;
}

/** A message that the user wants to publish. It may not be known yet whether it is out. */
interface Publication {
  readonly id: string;
  readonly message: string;
}

/** As long as any id that the form gives. */
export const SAMPLE_ID = '00000000-0000-0000-0000-000000000000';

export class Composer {
  readonly #options: ComposerOptions;
  readonly #field: HTMLTextAreaElement;
  readonly #counter: HTMLElement;
  readonly #error: FieldError;
  #publication: Publication | null = null;

  constructor(options: ComposerOptions) {
    this.#options = options;
    this.#field = within(options.form, 'textarea');
    this.#counter = within(options.form, '.counter');
    this.#error = new FieldError(this.#field, within(options.form, '.error'));
    this.#field.addEventListener('input', () => this.#edited());
    this.#field.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !event.isComposing) {
        event.preventDefault();
        options.form.requestSubmit();
      }
    });
    // An error from being offline is over.
    window.addEventListener('online', () => this.#showSize());
    onSubmit(options.form, () => this.#publish());
  }

  /** Show what was written before the page was reloaded. */
  restore(): void {
    const draft = (recall(`draft.${this.#options.noun}`) ?? {}) as {
      text?: string;
      publication?: Publication | null;
    };
    this.#field.value = draft.text ?? '';
    this.#publication = draft.publication ?? null;
    this.#showSize();
  }

  clear(): void {
    this.#field.value = '';
    this.#publication = null;
    this.#showSize();
  }

  focus(): void {
    this.#field.focus();
  }

  /** Show the size again, because the course or room is part of the message and has changed. */
  retarget(): void {
    this.#showSize();
  }

  /** Clear the field if this own message, which has arrived or is stored, is the one in it. */
  arrived(id: string | null): void {
    if (this.#publication && id === this.#publication.id) {
      this.#published();
    }
  }

  async #publish(): Promise<void> {
    const text = this.#text;
    if (!text) {
      this.#error.show(`Write your ${this.#options.noun} first.`);
      return;
    }
    this.#showSize();
    if (this.#options.bytesOf(text) > this.#options.maxBytes) {
      return;
    }
    let publication = this.#publication;
    if (publication?.message !== this.#options.toMessage(text, publication?.id ?? '')) {
      const id = crypto.randomUUID();
      publication = { id, message: this.#options.toMessage(text, id) };
    }
    this.#publication = publication;
    this.#remember();
    // Not after the answer, when the user may be in another field.
    this.#field.focus();
    try {
      await this.#options.publish(publication.message);
      if (this.#publication === publication) {
        this.#published();
      }
    } catch (error) {
      // Unless the message has arrived all the same, or the user has signed out meanwhile.
      if (this.#publication === publication) {
        this.#error.show(explain(error as MomentoError, this.#options.noun));
      }
    }
  }

  /** The message is out: Momento has answered, or the message has arrived. */
  #published(): void {
    const { id, message } = this.#publication as Publication;
    this.#publication = null;
    // Unless the user is typing the next one already.
    if (this.#options.toMessage(this.#text, id) === message) {
      this.#field.value = '';
    }
    this.#edited();
    announce('Sent.');
  }

  #edited(): void {
    this.#remember();
    this.#showSize();
  }

  /** Show the size of the message and whether it is too large, in place of any other error. */
  #showSize(): void {
    const { maxBytes } = this.#options;
    const text = this.#text;
    const bytes = text ? this.#options.bytesOf(text) : 0;
    this.#counter.textContent = text ? `${format(bytes)} of ${format(maxBytes)} bytes` : '';
    const tooMany = bytes - maxBytes;
    if (tooMany > 0) {
      this.#error.show(`Too long by ${format(tooMany)} ${tooMany === 1 ? 'byte' : 'bytes'}. Shorten it.`);
    } else {
      this.#error.clear();
    }
    if (!CSS.supports('field-sizing', 'content')) {
      this.#field.style.height = 'auto';
      this.#field.style.height = `${this.#field.scrollHeight + 2}px`;
    }
  }

  #remember(): void {
    remember(`draft.${this.#options.noun}`, { text: this.#field.value, publication: this.#publication });
  }

  get #text(): string {
    return this.#field.value.trim();
  }
}

/** Say what has become of a message, and what to do. */
export function explain({ code, message }: MomentoError, noun: string): string {
  if (!navigator.onLine) {
    return `Not sent: this device is offline. Send your ${noun} when it is back.`;
  }
  switch (code) {
    case 'PERMISSION_ERROR':
      return 'Not sent: you may not write here.';
    case 'LIMIT_EXCEEDED_ERROR':
      return 'Not sent: too many messages at the moment. Try again.';
    case 'SERVER_UNAVAILABLE':
      return `Momento cannot be reached at the moment, so the ${noun} is probably not out. Send it again: it will appear once.`;
    case 'TIMEOUT_ERROR':
    case 'CANCELLED_ERROR':
    case 'INTERNAL_SERVER_ERROR':
    case 'UNKNOWN_SERVICE_ERROR':
      return `Momento did not answer, so nobody knows whether the ${noun} is out. Send it again: it will appear once.`;
    default:
      return `Not sent: ${message}`;
  }
}

function format(count: number): string {
  return count.toLocaleString('en');
}
