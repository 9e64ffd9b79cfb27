/** The tabs of the page. Each is for one kind of message, and has a module of its own. */

import type { IdField } from './id-field';
import type { MomentoSession } from './momento';

export interface Tab {
  /** The topic that it publishes on. It is also the tab's name in the page's address and in element ids. */
  readonly topic: string;
  /** The course, poll or room that it shows. The session's token permits reading what belongs to it. */
  readonly field: IdField;
  /** Show what is stored and what arrives. */
  open(session: MomentoSession): void;
  /** Stop showing it, because another tab, course, poll or room is shown now. */
  close(): void;
  /** Read what may have been missed, because the connection is back. */
  refresh(): void;
  /** Show what the user wrote before a reload. */
  restore(): void;
  /** Remove what belongs to the user, who has signed out. */
  forget(): void;
  focus(): void;
}

/** The tab buttons, for pointer, keyboard and screen reader. */
export class TabBar {
  readonly #names: readonly string[];
  readonly #onChoose: (name: string) => void;

  constructor(bar: HTMLElement, names: readonly string[], onChoose: (name: string) => void) {
    this.#names = names;
    this.#onChoose = onChoose;
    bar.hidden = names.length < 2;
    for (const name of names) {
      const button = buttonOf(name);
      button.hidden = false;
      button.addEventListener('click', () => this.#choose(name));
      button.addEventListener('keydown', (event) => this.#onKey(event, name));
    }
  }

  /** Show the panel of this tab, and hide the others. */
  show(chosen: string): void {
    for (const name of this.#names) {
      const isChosen = name === chosen;
      const button = buttonOf(name);
      button.ariaSelected = String(isChosen);
      button.tabIndex = isChosen ? 0 : -1;
      (document.getElementById(`${name}-panel`) as HTMLElement).hidden = !isChosen;
    }
  }

  #choose(name: string): void {
    if (buttonOf(name).ariaSelected !== 'true') {
      this.#onChoose(name);
    }
  }

  #onKey(event: KeyboardEvent, name: string): void {
    const last = this.#names.length - 1;
    const at = this.#names.indexOf(name);
    const next: Record<string, number> = {
      ArrowRight: at === last ? 0 : at + 1,
      ArrowLeft: at === 0 ? last : at - 1,
      Home: 0,
      End: last,
    };
    const wanted = this.#names[next[event.key] ?? -1];
    if (wanted !== undefined) {
      event.preventDefault();
      this.#choose(wanted);
      buttonOf(wanted).focus();
    }
  }
}

function buttonOf(name: string): HTMLElement {
  return document.getElementById(`${name}-tab`) as HTMLElement;
}
