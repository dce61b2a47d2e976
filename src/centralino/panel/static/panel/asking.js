// Asking the CTI proxy for an action by a button: it waits for the answer, and a refusal is read aloud.

const NOTICE_TIME = 8_000;

export class Asking {
  #act;
  #notice;
  #clearing = null;

  /** `act(action)` answers a promise of null, or of the sentence why the action was refused. */
  constructor(root, act) {
    this.#act = act;
    this.#notice = root.querySelector("[data-notice]");
  }

  /** Ask; answers a promise of whether it was carried out. */
  async ask(button, action) {
    const focused = document.activeElement === button;
    button.disabled = true;
    const refused = await this.#act(action);
    button.disabled = false;
    // A button that is disabled loses the focus, and whoever came by the keyboard would begin at the page's top.
    if (focused && document.activeElement === document.body) button.focus({ preventScroll: true });
    clearTimeout(this.#clearing);
    this.#notice.hidden = !refused;
    this.#notice.textContent = refused ?? "";
    if (refused) this.#clearing = setTimeout(() => (this.#notice.hidden = true), NOTICE_TIME);
    return !refused;
  }
}
