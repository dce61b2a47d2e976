// What calls to an extension meet, do-not-disturb and a forward: in words, and the form that sets them.

/** "Do not disturb, forwarded to 102", or nothing. */
export function wished(extension) {
  const words = [extension?.dnd && "Do not disturb", extension?.forward && `Forwarded to ${extension.forward}`];
  return words.filter(Boolean).join(", ");
}

export class Wishes {
  #form;
  #dnd;
  #number;
  #stop;
  #known = {}; // number → extension

  constructor(root, asking) {
    this.#form = root.querySelector("[data-wishes]");
    if (!this.#form) return; // who looks has no extension and may not act for others
    this.#dnd = this.#form.querySelector("[data-dnd]");
    this.#number = this.#form.querySelector("[data-forward-to]");
    this.#stop = this.#form.querySelector("[data-forward-stop]");
    const ask = (button, wish) => asking.ask(button, { ...wish, extension: this.#extension });
    this.#dnd.addEventListener("click", () =>
      ask(this.#dnd, { action: "dnd", on: this.#dnd.getAttribute("aria-pressed") !== "true" }),
    );
    this.#stop.addEventListener("click", () => ask(this.#stop, { action: "forward", number: "" }));
    this.#form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const done = await ask(event.submitter, { action: "forward", number: this.#number.value.trim() });
      if (done) this.#number.value = "";
    });
    this.#form.addEventListener("change", () => this.#show());
  }

  /** Show what holds for the chosen extension. */
  snapshot(extensions) {
    this.#known = extensions;
    this.#show();
  }

  /** Show what is new. */
  change(extensions) {
    this.snapshot({ ...this.#known, ...extensions });
  }

  /** Show that nothing is known any more, and take no wish. */
  forget() {
    this.snapshot({});
  }

  get #extension() {
    return this.#form.elements.extension.value;
  }

  #show() {
    if (!this.#form) return;
    const now = this.#known[this.#extension];
    this.#form.querySelector("fieldset").disabled = !now;
    this.#dnd.setAttribute("aria-pressed", String(Boolean(now?.dnd)));
    this.#stop.hidden = !now?.forward;
    this.#stop.textContent = `Stop forwarding to ${now?.forward ?? ""}`;
  }
}
