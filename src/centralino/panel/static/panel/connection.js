// The connection to the CTI proxy: a new token for each attempt, a hole in `seq` or a silent network leads to a new one.
// After a short break the proxy sends what was missed alone.

const FIRST_DELAY = 500; // ms; doubled with each failure
const LONGEST_DELAY = 15_000;
const SETTLE_TIME = 10_000; // a connection that lives so long was a good one
const CONNECT_TIMEOUT = 10_000;
const SILENCE = 45_000; // the proxy sends a heartbeat every 20 s
const SLEEP_CHECK = 5_000; // a timer that comes much later than this means that the machine slept

/**
 * Keeps a tenant's states coming until the page goes away.
 *
 * `takeToken()` answers a promise of `{token, url}`, or of null where the person is logged out.
 * `handlers`: `snapshot(extensions)`, `change(extensions)`, `lost()`, `loggedOut()`; the extensions are those of
 * `centralino.contract.live`: number → {state, since}.
 */
export class Connection {
  #takeToken;
  #handlers;
  #socket = null;
  #sequence = null; // of the last message, also that of a connection that is lost
  #extensions = {}; // as of that message
  #resuming = false;
  #silence = null;
  #failures = 0;
  #attempt = 0;
  #timer = null;
  #settled = null;

  constructor(takeToken, handlers) {
    this.#takeToken = takeToken;
    this.#handlers = handlers;
    window.addEventListener("online", () => this.#restart());
    window.addEventListener("pageshow", (event) => event.persisted && this.#restart());
    let last = Date.now();
    setInterval(() => {
      if (Date.now() - last > SLEEP_CHECK * 4) this.#restart();
      last = Date.now();
    }, SLEEP_CHECK);
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
      this.#handlers.loggedOut();
      return;
    }
    this.#connect(access);
  }

  #connect({ token, url }) {
    this.#resuming = this.#sequence !== null;
    const since = this.#resuming ? `&since=${this.#sequence}` : "";
    const socket = new WebSocket(`${url}?token=${encodeURIComponent(token)}${since}`);
    this.#socket = socket;
    const timeout = setTimeout(() => this.#drop(socket), CONNECT_TIMEOUT);
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.#socket) return;
      clearTimeout(timeout);
      clearTimeout(this.#silence);
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
        this.#extensions = message.extensions;
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
        Object.assign(this.#extensions, message.extensions);
        if (this.#resuming) this.#arrived();
        else this.#handlers.change(message.extensions);
        break;
      case "error":
        this.#drop(socket);
        break;
    }
  }

  // What is known is the truth again.
  #arrived() {
    this.#resuming = false;
    clearTimeout(this.#settled);
    this.#settled = setTimeout(() => (this.#failures = 0), SETTLE_TIME);
    this.#handlers.snapshot(this.#extensions);
  }

  #drop(socket) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    clearTimeout(this.#settled);
    clearTimeout(this.#silence);
    socket.close();
    this.#retry();
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
    this.#socket = null;
    clearTimeout(this.#settled);
    clearTimeout(this.#silence);
    socket?.close();
    this.#failures = 0;
    this.#handlers.lost();
    this.open();
  }
}
