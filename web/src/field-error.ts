/** An error beside its field. `aria-describedby` in `index.html` ties the two together. */

export class FieldError {
  readonly #field: HTMLElement;
  readonly #element: HTMLElement;

  constructor(field: HTMLElement, element: HTMLElement) {
    this.#field = field;
    this.#element = element;
  }

  show(message: string): void {
    if (this.#element.textContent !== message) {
      this.#element.textContent = message;
    }
    if ('value' in this.#field) {
      this.#field.setAttribute('aria-invalid', 'true');
    }
    this.#element.scrollIntoView({ block: 'nearest' });
  }

  clear(): void {
    this.#element.textContent = '';
    this.#field.removeAttribute('aria-invalid');
  }
}
