// The calls, queues, parked calls and conferences beside the tiles, and what may be done with them.

import { duration, everySecond } from "./clock.js";
import { renew } from "./renew.js";

const COLOURS = { ringing: "ringing", up: "busy", held: "held" }; // a call's state → the tiles' state

/** How a person writes whom they talk to: "101 Anna", or the number alone. */
function written({ extension, number, name }) {
  return [extension ?? number, name].filter(Boolean).join(" ") || "Unknown";
}

export class Activity {
  #asking;
  #own; // the extension of who looks; empty where there is none
  #leads; // whether they may act for others
  #line; // the template of a line
  #sections = new Map(); // name of the section → {element, list, count, build, entries: name → element}

  constructor(root, asking) {
    this.#asking = asking;
    this.#own = root.dataset.own;
    this.#leads = "leads" in root.dataset;
    this.#line = root.querySelector("[data-line]");
    const builders = {
      calls: (_, call) => this.#call(call),
      queues: (name, queue) => this.#group(name, [
        ...queue.waiting.map((caller) => this.#entry({ key: `${caller.since} ${caller.number}`, state: "ringing", title: `${caller.position}. ${written(caller)}`, since: caller.since })),
        ...queue.agents.map((agent) => this.#agent(name, agent)),
      ]),
      parked: (space, caller) => this.#entry({ state: "held", title: `${space}: ${written(caller)}`, since: caller.since, buttons: this.#calling(root.dataset.parkingCode + space, "Take") }),
      conferences: (room, { participants }) => this.#group(room, participants.map((who) =>
        this.#entry({ key: `${who.since} ${who.number}`, state: "busy", title: written(who), detail: who.muted ? "muted" : "", since: who.since }))),
    };
    for (const [name, build] of Object.entries(builders)) {
      const element = root.querySelector(`[data-section=${name}]`);
      const count = element.querySelector("[data-count]");
      this.#sections.set(name, { element, build, count, list: element.querySelector("[data-list]"), entries: new Map() });
    }
    root.addEventListener("click", ({ target }) => {
      const button = target.closest("[data-call], [data-ask]");
      if (!button) return;
      const { ask, call } = button.dataset;
      this.#asking.ask(button, ask ? JSON.parse(ask) : { action: "originate", number: call });
    });
    everySecond(() => this.#tick());
  }

  /** Show all sections of a picture. */
  snapshot(picture) {
    for (const section of this.#sections.values()) {
      section.entries.clear();
      section.list.replaceChildren();
    }
    this.change(picture);
  }

  /** Show what is new in each section; null is no more. */
  change(sections) {
    for (const [name, section] of this.#sections) {
      for (const [key, entry] of Object.entries(sections[name] ?? {})) this.#place(section, key, entry);
      section.count.textContent = section.entries.size;
      section.element.classList.toggle("is-empty", !section.entries.size);
    }
  }

  /** Show that nothing is known any more. */
  forget() {
    this.snapshot({});
  }

  #place(section, key, entry) {
    const old = section.entries.get(key);
    if (entry === null) {
      old?.remove();
      section.entries.delete(key);
      return;
    }
    const made = section.build(key, entry);
    if (old) {
      renew(old, made);
      return;
    }
    section.list.append(made);
    section.entries.set(key, made);
  }

  #call({ state, since, parties }) {
    const mine = parties.find(({ extension, channel }) => channel && extension === this.#own);
    const shown = mine ?? parties.find(({ channel }) => channel);
    const buttons = [];
    if (this.#own && !mine && state === "ringing") {
      const rings = parties.find((party) => party.channel && party.state === "ringing");
      if (rings) buttons.push(this.#button("Pick up", { action: "pickup", channel: rings.channel }));
    }
    if (this.#leads && this.#own && !mine && state === "up") {
      buttons.push(this.#button("Listen", { action: "listen", channel: shown.channel }));
    }
    const other = mine && parties.find(({ channel }) => channel && channel !== mine.channel);
    if (other && state === "up") buttons.push(this.#button("Park", { action: "park", channel: other.channel }));
    if (mine || this.#leads) buttons.push(this.#button("Hang up", { action: "hangup", channel: shown.channel }));
    return this.#entry({ state: COLOURS[state], title: parties.map(written).join(" → "), since, buttons });
  }

  #agent(queue, { name, extension, state, paused, reason }) {
    const title = written({ extension, number: "", name: name === extension ? "" : name });
    const wish = { action: "queue_pause", queue, extension, paused: !paused };
    const may = extension && (this.#leads || extension === this.#own);
    return this.#entry({
      key: title,
      state,
      title,
      detail: paused ? `paused${reason ? `: ${reason}` : ""}` : "",
      buttons: may ? [this.#button(paused ? "Resume" : "Pause", wish)] : [],
    });
  }

  #calling(number, label) {
    return this.#own ? [this.#button(label, { action: "originate", number })] : [];
  }

  /** A line; `key` tells it from the others of its group. */
  #entry({ key = "", state, title, detail = "", since = 0, buttons = [] }) {
    const line = this.#line.content.firstElementChild.cloneNode(true);
    line.dataset.key = key;
    line.dataset.state = state;
    line.querySelector("[data-title]").textContent = title;
    line.querySelector("[data-detail]").textContent = detail;
    const clock = line.querySelector("[data-clock]");
    if (since) clock.dataset.since = since;
    this.#clock(clock);
    line.querySelector("[data-buttons]").replaceChildren(...buttons);
    return line;
  }

  #group(name, lines) {
    const group = document.createElement("li");
    group.className = "group";
    const title = document.createElement("h3");
    title.textContent = name;
    const list = document.createElement("ul");
    list.append(...lines);
    group.append(title, list);
    return group;
  }

  #button(label, action) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm btn-outline-secondary";
    button.textContent = label;
    button.dataset.key = action.action;
    button.dataset.ask = JSON.stringify(action);
    return button;
  }

  #tick() {
    for (const { element } of this.#sections.values()) {
      for (const clock of element.querySelectorAll("[data-since]")) this.#clock(clock);
    }
  }

  #clock(clock) {
    const text = clock.dataset.since ? duration(Date.now() - Number(clock.dataset.since), true) : "";
    if (clock.textContent !== text) clock.textContent = text;
  }
}
