// The tiles: their states, their clocks, the legend's counts, the filter, and what is read aloud.

import { duration, everySecond } from "./clock.js";
import { wished } from "./wishes.js";

const ANNOUNCE_EVERY = 3_000;
const ANNOUNCED_SINGLY = 3;
const CALL_STATES = new Set(["busy", "ringing", "held"]);

export class Grid {
  #tiles = new Map(); // number → {element, label, clock, wish, state, since, text}
  #labels = new Map(); // state → what people call it
  #counts = new Map(); // state → its number in the legend
  #chips = [];
  #wanted = new Set(); // the states that are shown; none chosen: all
  #words = [];
  #search;
  #nothing;
  #voice;
  #unsaid = new Set();
  #saying = null;

  constructor(root) {
    this.#search = root.querySelector("[data-search]");
    this.#nothing = root.querySelector("[data-nothing]");
    this.#voice = root.querySelector("[data-voice]");
    for (const chip of root.querySelectorAll("[data-chip]")) {
      this.#labels.set(chip.dataset.chip, chip.querySelector("[data-label]").textContent);
      this.#counts.set(chip.dataset.chip, chip.querySelector("[data-count]"));
      this.#chips.push(chip);
      chip.addEventListener("click", () => this.#choose(chip));
    }
    for (const element of root.querySelectorAll("[data-extension]")) {
      this.#tiles.set(element.dataset.extension, {
        element,
        label: element.querySelector("[data-label]"),
        clock: element.querySelector("[data-clock]"),
        wish: element.querySelector("[data-wish]"),
        state: "unknown",
        since: 0,
        text: `${element.dataset.extension} ${element.dataset.name}`.toLocaleLowerCase(),
      });
    }
    this.#search.addEventListener("input", () => {
      this.#words = this.#search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      this.#filter();
    });
    document.addEventListener("keydown", (event) => this.#key(event));
    everySecond(() => this.#tick());
    this.#count();
  }

  /** Show all states; an extension that is not named has none. */
  snapshot(extensions) {
    for (const [number, tile] of this.#tiles) this.#set(tile, extensions[number]);
    this.#changed();
  }

  /** Show the states that changed, and say so to those who listen. */
  change(extensions) {
    for (const [number, now] of Object.entries(extensions)) {
      const tile = this.#tiles.get(number);
      if (!tile) continue;
      this.#set(tile, now);
      this.#unsaid.add(tile);
    }
    this.#changed();
    this.#saying ??= setTimeout(() => this.#say(), ANNOUNCE_EVERY);
  }

  /** Show that nothing is known any more: an old state would be a wrong one. */
  forget() {
    this.snapshot({});
    this.#unsaid.clear();
  }

  #set(tile, now) {
    const state = now?.state ?? "unknown";
    tile.since = now?.since ?? 0;
    if (state !== tile.state) {
      tile.state = state;
      tile.element.dataset.state = state;
      tile.label.textContent = this.#labels.get(state) ?? "Unknown";
    }
    tile.wish.textContent = wished(now);
    this.#clock(tile);
  }

  #changed() {
    this.#count();
    if (this.#wanted.size) this.#filter();
  }

  #count() {
    const counts = new Map();
    for (const { state } of this.#tiles.values()) counts.set(state, (counts.get(state) ?? 0) + 1);
    for (const [state, element] of this.#counts) element.textContent = counts.get(state) ?? 0;
  }

  #tick() {
    for (const tile of this.#tiles.values()) this.#clock(tile);
  }

  #clock(tile) {
    const text = tile.since ? duration(Date.now() - tile.since, CALL_STATES.has(tile.state)) : "";
    if (tile.clock.textContent !== text) tile.clock.textContent = text;
  }

  #choose(chip) {
    const chosen = chip.getAttribute("aria-pressed") !== "true";
    chip.setAttribute("aria-pressed", String(chosen));
    if (chosen) this.#wanted.add(chip.dataset.chip);
    else this.#wanted.delete(chip.dataset.chip);
    this.#filter();
  }

  #filter() {
    let shown = 0;
    for (const { element, state, text } of this.#tiles.values()) {
      const fits = (!this.#wanted.size || this.#wanted.has(state)) && this.#words.every((word) => text.includes(word));
      element.hidden = !fits;
      shown += fits;
    }
    this.#nothing.hidden = shown > 0 || !this.#tiles.size;
  }

  #key(event) {
    if (event.key === "/" && !event.target.closest("input, textarea, select")) {
      event.preventDefault();
      this.#search.focus();
    } else if (event.key === "Escape") {
      this.#search.value = "";
      this.#words = [];
      this.#wanted.clear();
      for (const chip of this.#chips) chip.setAttribute("aria-pressed", "false");
      this.#filter();
    }
  }

  #said({ element, label, wish }) {
    const words = [label.textContent, wish.textContent].filter(Boolean).join(", ");
    return `${element.dataset.extension} ${element.dataset.name}: ${words}`;
  }

  #say() {
    this.#saying = null;
    const shown = [...this.#unsaid].filter((tile) => !tile.element.hidden);
    this.#unsaid.clear();
    this.#voice.textContent =
      shown.length > ANNOUNCED_SINGLY
        ? `${shown.length} extensions changed`
        : shown.map((tile) => this.#said(tile)).join(". ");
  }
}
