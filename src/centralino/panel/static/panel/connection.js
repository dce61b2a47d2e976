// The connection to the CTI proxy: a new token for each attempt, a hole in `seq` or a silent network leads to a new one.
// After a short break the proxy sends what was missed alone. Actions go the same way back.

const FIRST_DELAY = 500; // ms; doubled with each failure
const LONGEST_DELAY = 15_000;
const SETTLE_TIME = 10_000; // a connection that lives so long was a good one
const CONNECT_TIMEOUT = 10_000;
const SILENCE = 45_000; // the proxy sends a heartbeat every 20 s
const SLEEP_CHECK = 5_000;

const SECTIONS = ["extensions", "calls", "queues", "parked", "conferences"];
const LOST = "The connection is lost: try again when it is back.";

/**
 * Keeps a tenant's picture coming until the page goes away.
 *
 * `takeToken()` answers a promise of `{token, url}`, or of null where there is none for this page.
 * `handlers`: `snapshot(picture)`, `change(sections)`, `lost()`, `refused()`. A picture has all the sections of
 * `centralino.contract.live`, a change those in which something is new, each name → entry; null is no more. `connected`
 * of either says whether the PBX is within reach; of a change, where that is new.
 */
export class Connection {
  #takeToken;
  #handlers;
  #socket = null;
  #sequence = null; // of the last message, also that of a connection that is lost
  #picture = {}; // as of that message: its sections, and `connected`
  #asked = 0;
  #answers = new Map(); // an action's id → what its promise waits for
  #resuming = false;
  #silence = null;
  #heard = 0; // when the last message came
  #failures = 0;
  #attempt = 0;
  #timer = null;
  #settled = null;

  constructor(takeToken, handlers) {
    this.#takeToken = takeToken;
    this.#handlers = handlers;
    window.addEventListener("online", () => this.#restart());
    window.addEventListener("pageshow", (event) => event.persisted && this.#restart());
    // A machine that slept has heard nothing for longer than the proxy is ever silent. That a timer comes late says less:
    // in a hidden page browsers let it come once a minute.
    setInterval(() => this.#socket && Date.now() - this.#heard > SILENCE && this.#restart(), SLEEP_CHECK);
  }

  async open() {
    const attempt = ++this.#attempt; // whatever an older attempt still does is not for us any more
    clearTimeout(this.#timer);
    let access;
    try {
      access = await this.#takeToken();
    } catch {
      if (attempt === this.#attempt) this.#retry();
      return;
    }
    if (attempt !== this.#attempt) return;
    if (access === null) {
      this.#handlers.refused();
      return;
    }
    this.#connect(access);
  }

  #connect({ token, url }) {
    this.#resuming = this.#sequence !== null;
    const since = this.#resuming ? `&since=${this.#sequence}` : "";
    const socket = new WebSocket(`${url}?token=${encodeURIComponent(token)}${since}`);
    this.#socket = socket;
    this.#heard = Date.now();
    const timeout = setTimeout(() => this.#drop(socket), CONNECT_TIMEOUT);
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.#socket) return;
      clearTimeout(timeout);
      clearTimeout(this.#silence);
      this.#heard = Date.now();
      this.#silence = setTimeout(() => this.#drop(socket), SILENCE);
      this.#take(socket, JSON.parse(data));
    });
    socket.addEventListener("close", () => {
      clearTimeout(timeout);
      this.#drop(socket);
    });
  }

  #take(socket, message) {
    switch (message.type) {
      case "snapshot":
        this.#sequence = message.seq;
        this.#picture = Object.fromEntries(SECTIONS.map((section) => [section, message[section] ?? {}]));
        this.#picture.connected = message.connected;
        this.#arrived();
        break;
      case "heartbeat":
        if (this.#resuming) this.#arrived();
        break;
      case "change":
        if (this.#sequence === null || message.seq !== this.#sequence + 1) {
          this.#sequence = null;
          this.#drop(socket);
          return;
        }
        this.#sequence = message.seq;
        this.#merge(message);
        if (this.#resuming) this.#arrived();
        else this.#handlers.change(message);
        break;
      case "result":
        this.#answer(message.id, null);
        break;
      case "error":
        if (message.id) this.#answer(message.id, message.message);
        else this.#drop(socket);
        break;
    }
  }

  /** Ask for an action of `contract.live`; answers a promise of null, or of the sentence why it was refused. */
  act(action) {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return Promise.resolve(LOST);
    const id = String(++this.#asked);
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      socket.send(JSON.stringify({ type: "action", id, ...action }));
    });
  }

  #answer(id, sentence) {
    this.#answers.get(id)?.(sentence);
    this.#answers.delete(id);
  }

  #merge(change) {
    this.#picture.connected = change.connected ?? this.#picture.connected;
    for (const section of SECTIONS) {
      for (const [name, entry] of Object.entries(change[section] ?? {})) {
        if (entry === null) delete this.#picture[section][name];
        else this.#picture[section][name] = entry;
      }
    }
  }

  // What is known is the truth again.
  #arrived() {
    this.#resuming = false;
    clearTimeout(this.#settled);
    this.#settled = setTimeout(() => (this.#failures = 0), SETTLE_TIME);
    this.#handlers.snapshot(this.#picture);
  }

  #drop(socket) {
    if (socket !== this.#socket) return;
    this.#forget();
    socket.close();
    this.#retry();
  }

  #forget() {
    this.#socket = null;
    clearTimeout(this.#settled);
    clearTimeout(this.#silence);
    for (const id of [...this.#answers.keys()]) this.#answer(id, LOST);
  }

  #retry() {
    this.#handlers.lost();
    // Full jitter: after an outage a thousand pages must not come back in the same moment.
    const delay = Math.random() * Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 10);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), delay);
  }

  #restart() {
    const socket = this.#socket;
    this.#forget();
    socket?.close();
    this.#failures = 0;
    this.#handlers.lost();
    this.open();
  }
}
