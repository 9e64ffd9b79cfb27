/** The field that says which course, poll or room a tab shows. */

import { fromAddress, toAddress } from './address';
import { within } from './elements';
import { FieldError } from './field-error';

export class IdField {
  readonly error: FieldError;
  readonly #name: string;
  readonly #input: HTMLInputElement;
  #value: string;
  /** The last value that the server has permitted. */
  #permitted: string;

  /** `name` is the parameter in the page's address. `onChange` has to call `keep` or `revert` in the end. */
  constructor(form: HTMLFormElement, name: string, initial: string, onChange: () => void) {
    this.#name = name;
    this.#input = within(form, 'input');
    this.error = new FieldError(this.#input, within(form, '.error'));
    this.#value = fromAddress(name) || initial;
    this.#permitted = this.#value;
    this.#input.value = this.#value;
    const change = () => {
      const wanted = this.#input.value.trim();
      if (wanted && wanted !== this.#value) {
        this.#value = wanted;
        onChange();
      }
      this.#input.value = this.#value;
    };
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      change();
    });
    this.#input.addEventListener('change', change);
    this.#input.addEventListener('input', () => this.error.clear());
  }

  get value(): string {
    return this.#value;
  }

  keep(): void {
    this.#permitted = this.#value;
    this.writeAddress();
    this.error.clear();
  }

  /** Let the page's address lead to this value. */
  writeAddress(): void {
    toAddress(this.#name, this.#value);
  }

  revert(): void {
    this.#value = this.#permitted;
    this.#input.value = this.#value;
  }
}
