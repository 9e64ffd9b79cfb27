/**
 * A poll: `{"pollId", "choice"}` on topic `poll` is a vote. The question is at the key `poll:<id>:definition`, the tally
 * at `poll:<id>:tally`, and each change of it comes on topic `poll-results`, on which only the webhook can publish.
 */

import { explain } from './composer';
import { announce, byId, element, parseObject } from './elements';
import { FieldError } from './field-error';
import type { IdField } from './id-field';
import { recall, remember } from './memory';
import type { MomentoError, MomentoSession, TopicMessage } from './momento';
import type { Tab } from './tab';

const TOPIC = 'poll';
const RESULTS_TOPIC = 'poll-results';
/** If no tally comes within this time after a vote, the poll may be closed. */
const COUNTED_MS = 3_000;
const AFTER_FAILURE_MS = 10_000;

interface Choice {
  readonly button: HTMLButtonElement;
  readonly count: HTMLElement;
  readonly bar: HTMLElement;
}

export class PollTab implements Tab {
  readonly topic = TOPIC;
  readonly field: IdField;
  #session: MomentoSession | null = null;
  #unsubscribe = () => {};
  readonly #question = byId('poll-question');
  readonly #list = byId('choices');
  readonly #summary = byId('poll-summary');
  readonly #error = new FieldError(this.#list, byId('poll-error'));
  readonly #choices = new Map<string, Choice>();
  #isClosed = false;
  #isVoting = false;
  /** The choice before a vote that no tally has followed yet. */
  #choiceBefore: { readonly name: unknown } | null = null;
  /** How many tallies have come, and how many readings have begun. */
  #tallies = 0;
  #readings = 0;
  #readTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(field: IdField) {
    this.field = field;
    window.addEventListener('online', () => this.#error.clear());
  }

  open(session: MomentoSession): void {
    this.#session = session;
    this.#question.textContent = 'Reading…';
    this.#unsubscribe = session.subscribe(RESULTS_TOPIC, {
      onMessage: (message) => this.#onResult(message),
      onGap: () => this.refresh(),
    });
    this.#read();
  }

  close(): void {
    this.#unsubscribe();
    this.#readings += 1;
    clearTimeout(this.#readTimer);
    this.#choices.clear();
    this.#list.replaceChildren();
    this.#summary.textContent = '';
    this.#choiceBefore = null;
    this.#error.clear();
  }

  refresh(): void {
    this.#read();
  }

  restore(): void {
    // The choice is remembered for each poll, and shown when the poll is read.
  }

  forget(): void {
    this.#session = null;
  }

  focus(): void {
    this.#choices.values().next().value?.button.focus();
  }

  async #read(): Promise<void> {
    clearTimeout(this.#readTimer);
    const poll = this.field.value;
    this.#readings += 1;
    const reading = this.#readings;
    const talliesBefore = this.#tallies;
    try {
      const [definition, tally] = await Promise.all([
        this.#session?.read(`poll:${poll}:definition`),
        this.#session?.read(`poll:${poll}:tally`),
      ]);
      if (reading === this.#readings) {
        this.#showDefinition(definition ?? null);
        // A tally that has come meanwhile is newer.
        if (talliesBefore === this.#tallies) {
          this.#showTally(parseObject(tally ?? null));
        }
      }
    } catch {
      if (reading === this.#readings) {
        if (this.#choices.size === 0) {
          this.#question.textContent = 'The poll cannot be read at the moment. Trying again…';
        }
        this.#readIn(AFTER_FAILURE_MS);
      }
    }
  }

  #readIn(waitMs: number): void {
    clearTimeout(this.#readTimer);
    this.#readTimer = setTimeout(() => this.#read(), waitMs);
  }

  #onResult({ text, age }: TopicMessage): void {
    const { pollId, tally } = parseObject(text);
    if (pollId !== this.field.value || typeof tally !== 'object' || tally === null) {
      return;
    }
    if (age === 'unknown' || this.#choices.size === 0) {
      // The result may be older than what is stored.
      this.#read();
      return;
    }
    clearTimeout(this.#readTimer);
    this.#choiceBefore = null;
    this.#tallies += 1;
    this.#showTally(tally as Record<string, unknown>);
  }

  #showDefinition(definition: string | null): void {
    const { question, choices, closed } = parseObject(definition);
    if (typeof question !== 'string' || !Array.isArray(choices)) {
      this.#question.textContent = 'There is no such poll.';
      this.#choices.clear();
      this.#list.replaceChildren();
      this.#summary.textContent = '';
      return;
    }
    this.#isClosed = closed === true;
    this.#question.textContent = question;
    const names = choices.filter((choice): choice is string => typeof choice === 'string');
    if (JSON.stringify(names) !== JSON.stringify([...this.#choices.keys()])) {
      this.#choices.clear();
      this.#list.replaceChildren(...names.map((name) => this.#makeChoice(name)));
      this.#showTally({});
    }
    if (this.#isClosed && this.#choiceBefore) {
      // The last vote came too late.
      remember(this.#ownChoiceName, this.#choiceBefore.name);
      this.#choiceBefore = null;
    }
    for (const { button } of this.#choices.values()) {
      button.ariaDisabled = String(this.#isClosed);
    }
    this.#showOwnChoice();
  }

  #makeChoice(name: string): HTMLLIElement {
    const item = element('li');
    const button = element('button', 'choice');
    button.type = 'button';
    const label = element('bdi', '', name);
    const count = element('span', 'count');
    const bar = element('span', 'bar-of-votes');
    button.append(bar, label, count);
    button.addEventListener('click', () => this.#vote(name));
    item.append(button);
    this.#choices.set(name, { button, count, bar });
    return item;
  }

  #showTally(tally: Record<string, unknown>): void {
    const votes = (choice: string) => (typeof tally[choice] === 'number' ? tally[choice] : 0);
    const total = [...this.#choices.keys()].reduce((sum, choice) => sum + votes(choice), 0);
    for (const [choice, { count, bar }] of this.#choices) {
      const share = total === 0 ? 0 : votes(choice) / total;
      count.textContent = `${numberOfVotes(votes(choice))} (${Math.round(share * 100)} %)`;
      bar.style.inlineSize = `${share * 100}%`;
    }
    const state = this.#isClosed
      ? ' This poll is closed.'
      : ' You can change your vote until the poll closes.';
    this.#summary.textContent = `${numberOfVotes(total)} in all.${state}`;
  }

  #showOwnChoice(): void {
    const own = recall(this.#ownChoiceName);
    for (const [choice, { button }] of this.#choices) {
      button.ariaPressed = String(choice === own);
    }
  }

  async #vote(choice: string): Promise<void> {
    const session = this.#session;
    if (!session || this.#isVoting || this.#isClosed) {
      return;
    }
    this.#isVoting = true;
    this.#error.clear();
    const poll = this.field.value;
    try {
      await session.publish(TOPIC, JSON.stringify({ pollId: poll, choice, id: crypto.randomUUID() }));
      if (session === this.#session && poll === this.field.value) {
        this.#choiceBefore ??= { name: recall(this.#ownChoiceName) };
        remember(this.#ownChoiceName, choice);
        this.#showOwnChoice();
        announce(`You have voted for ${choice}.`);
        this.#readIn(COUNTED_MS);
      }
    } catch (error) {
      if (session === this.#session && poll === this.field.value) {
        this.#error.show(explain(error as MomentoError, 'vote'));
      }
    } finally {
      this.#isVoting = false;
    }
  }

  get #ownChoiceName(): string {
    return `vote.${this.field.value}`;
  }
}

function numberOfVotes(count: number): string {
  return count === 1 ? '1 vote' : `${count.toLocaleString('en')} votes`;
}
