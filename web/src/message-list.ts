/** A list of messages, newest first. It shows those that have arrived and those that are stored, each once. */

import { element } from './elements';

export interface Message {
  readonly author: string;
  readonly text: string;
  /** Unique among the author's messages; null if only its ending is known. */
  readonly id: string | null;
  /** The ending of the id that the webhook gives to a message without one. */
  readonly idEnding?: string;
  /** Epoch milliseconds; null if not known. */
  readonly at: number | null;
  /** What the author wrote, if the text is a translation. */
  readonly original?: { readonly text: string; readonly language: string };
}

interface Item {
  message: Message;
  isStored: boolean;
  /** Whether it may still be found among the stored ones. */
  isAwaited: boolean;
  readonly node: HTMLLIElement;
}

const KEPT = 200;

export class MessageList {
  readonly #list: HTMLElement;
  readonly #marksStored: boolean;
  readonly #isOwn: (author: string) => boolean;
  /** In the order in which they are shown. */
  #items: Item[] = [];

  /** With `marksStored`, a small mark says which messages are stored. */
  constructor(list: HTMLElement, marksStored: boolean, isOwn: (author: string) => boolean) {
    this.#list = list;
    this.#marksStored = marksStored;
    this.#isOwn = isOwn;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** Whether a message has arrived that is not found among the stored ones yet. */
  get awaitsStored(): boolean {
    return this.#items.some((item) => item.isAwaited);
  }

  /** Do not look any more for messages that are not stored by now. */
  giveUpAwaited(): void {
    for (const item of this.#items) {
      item.isAwaited = false;
    }
  }

  /** Put a message that has arrived at the top. Return false if it is in the list already. */
  arrive(message: Message, isNew: boolean): boolean {
    if (this.#items.some((item) => isSame(item.message, message))) {
      return false;
    }
    const item = this.#makeItem(message, false);
    item.isAwaited = true;
    item.node.classList.toggle('new', isNew);
    this.#show([item, ...this.#items]);
    return true;
  }

  /** Show the stored messages, newest first, and keep the others at their places between them. */
  setStored(stored: readonly Message[]): void {
    const found = new Map<Item, Message>();
    const shown: Item[] = [];
    for (const message of stored) {
      const item = this.#items.find((item) => isSame(item.message, message)) ?? this.#makeItem(message, true);
      // A rare crash stores a message twice.
      if (!found.has(item) && !shown.some((other) => isSame(other.message, message))) {
        found.set(item, message);
        shown.push(item);
      }
    }
    let newer: Item | null = null;
    for (const item of this.#items) {
      const message = found.get(item);
      if (message) {
        item.message = message;
        this.#markStored(item);
      } else {
        shown.splice(newer ? shown.indexOf(newer) + 1 : 0, 0, item);
      }
      newer = item;
    }
    this.#show(shown);
  }

  clear(): void {
    this.#show([]);
  }

  /** Move only what has to move, so that nothing loses the focus or is announced again. */
  #show(items: Item[]): void {
    const shown = items.slice(0, KEPT);
    const nodes = new Set(shown.map((item) => item.node));
    for (const node of [...this.#list.children]) {
      if (!nodes.has(node as HTMLLIElement)) {
        node.remove();
      }
    }
    let next: Node | null = null;
    for (const { node } of [...shown].reverse()) {
      if (node.parentNode !== this.#list || node.nextSibling !== next) {
        this.#list.insertBefore(node, next);
      }
      next = node;
    }
    this.#items = shown;
  }

  #makeItem(message: Message, isStored: boolean): Item {
    const item = { message, isStored: false, isAwaited: false, node: element('li') };
    item.node.append(...this.#contentOf(message));
    showTime(item.node, message.at);
    if (isStored) {
      this.#markStored(item);
    }
    return item;
  }

  /**
   * Set what others wrote as text, never as HTML, and in elements with a direction of their own, so that
   * right-to-left scripts move nothing around them.
   */
  #contentOf({ author, text, original }: Message): HTMLElement[] {
    const name = element('bdi', '', author || 'Without a name');
    const strong = element('strong');
    strong.append(name);
    const who = element('span', 'author');
    who.append(strong);
    if (this.#isOwn(author)) {
      who.append(element('span', 'you', 'You'));
    }
    const byline = element('p', 'byline');
    byline.append(who, element('span', 'when'));
    const content = [byline, textElement(text)];
    if (original) {
      content.push(originalElement(original));
    }
    return content;
  }

  #markStored(item: Item): void {
    item.isAwaited = false;
    if (item.isStored) {
      return;
    }
    item.isStored = true;
    showTime(item.node, item.message.at);
    if (this.#marksStored) {
      const mark = element('span', 'stored', '✓');
      mark.role = 'img';
      mark.ariaLabel = 'Saved';
      mark.title = 'Saved';
      item.node.querySelector('.when')?.append(mark);
    }
  }
}

function isSame(one: Message, other: Message): boolean {
  return one.author === other.author && (isIdOf(one, other) || isIdOf(other, one));
}

function isIdOf(one: Message, { id, text }: Message): boolean {
  if (one.id !== null) {
    return one.id === id;
  }
  return Boolean(one.idEnding && id?.endsWith(one.idEnding) && text === one.text);
}

function textElement(text: string, language = ''): HTMLElement {
  const made = element('p', 'text', text);
  made.dir = 'auto';
  if (language) {
    made.lang = language;
  }
  return made;
}

/** Show the original while the pointer is over its button, or after a tap until the next one. */
function originalElement({ text, language }: { text: string; language: string }): HTMLElement {
  const box = element('div', 'original');
  const button = element('button', 'link', `Original in ${languageName(language)}`);
  button.type = 'button';
  const original = textElement(text, language);
  original.hidden = true;
  let isKept = false;
  const show = (isShown: boolean) => {
    original.hidden = !isShown;
    button.ariaExpanded = String(isShown);
  };
  const keep = (isShown: boolean) => {
    isKept = isShown;
    show(isShown);
  };
  show(false);
  button.addEventListener('click', () => keep(!isKept));
  box.addEventListener('pointerenter', (event) => event.pointerType === 'mouse' && show(true));
  box.addEventListener('pointerleave', (event) => event.pointerType === 'mouse' && show(isKept));
  box.addEventListener('keydown', (event) => event.key === 'Escape' && keep(false));
  box.append(button, original);
  return box;
}

/** Return the name of a language, such as `German`; its code if the browser does not know it. */
export function languageName(language: string, inLanguage = 'en'): string {
  try {
    return new Intl.DisplayNames([inLanguage], { type: 'language' }).of(language) ?? language;
  } catch {
    return language;
  }
}

function showTime(node: HTMLElement, at: number | null): void {
  const date = new Date(at ?? Number.NaN);
  if (Number.isNaN(date.getTime())) {
    return;
  }
  const when = node.querySelector('.when');
  const time = when?.querySelector('time') ?? element('time');
  time.dateTime = date.toISOString();
  const isToday = date.toDateString() === new Date().toDateString();
  time.textContent = date.toLocaleString([], {
    timeStyle: 'short',
    ...(isToday ? {} : { dateStyle: 'medium' }),
  });
  when?.prepend(time);
}
