/** What each tab of the page is: one kind of message, in a module of its own. */

import type { IdField } from './id-field';
import type { MomentoSession } from './momento';

export interface Tab {
  /** The topic that it publishes on; also its name in the page's address and the beginning of its elements' ids. */
  readonly topic: string;
  /** Which course, poll or room it shows. The session's token permits to read what belongs to it. */
  readonly field: IdField;
  /** Show what there is, and what comes. */
  open(session: MomentoSession): void;
  /** Another tab, or another course, poll or room, is shown from now on. */
  close(): void;
  /** The connection is back: read what may have been missed. */
  refresh(): void;
  /** Show what the user has written or chosen before a reload. */
  restore(): void;
  /** The user has signed out. */
  forget(): void;
  focus(): void;
}

/** Makes the tab buttons a tab list for pointer, keyboard and screen reader. */
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

  /** Show the panel of this tab, and no other. */
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
