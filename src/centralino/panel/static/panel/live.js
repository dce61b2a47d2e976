// The live page: the server renders the tiles without a state, this brings the states.

import { Activity } from "./activity.js";
import { Asking } from "./asking.js";
import { Connection } from "./connection.js";
import { Grid } from "./grid.js";
import { Wishes } from "./wishes.js";

const TOKEN_TIME = 10_000; // a connection that died while the machine slept may leave a question unanswered for minutes

const root = document.querySelector("[data-live]");
const banners = root.querySelectorAll("[data-banner]");
const status = root.querySelector("[data-status]");
const grid = new Grid(root);
const asking = new Asking(root, (action) => connection.act(action));
const activity = new Activity(root, asking);
const wishes = new Wishes(root, asking);
let refusal = ""; // why the panel gives no token, where that is not for a log-out

function show(connection) {
  if (root.dataset.live === connection) return;
  root.dataset.live = connection;
  for (const banner of banners) banner.hidden = banner.dataset.banner !== connection;
  status.textContent = status.dataset[connection];
}

// The proxy answers; whether it has the tenant's PBX within reach, too.
function reach(connected) {
  show(connected ? "connected" : "away");
}

async function takeToken() {
  const response = await fetch(root.dataset.tokenUrl, {
    method: "POST",
    headers: { "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value },
    body: new URLSearchParams({ tenant: root.dataset.tenant }),
    signal: AbortSignal.timeout(TOKEN_TIME),
  });
  refusal = "";
  if (response.status === 403 && response.headers.get("Content-Type") === "application/json") {
    // Not from this address, which a new page would not change: asked again when the network is another one.
    refusal = (await response.json()).error;
    return null;
  }
  // 403: the form's token is from before a log-out in another tab; 404: the tenant is gone. Only a new page helps.
  if ([401, 403, 404].includes(response.status)) return null;
  if (!response.ok) throw new Error(`token: ${response.status}`);
  return response.json();
}

const connection = new Connection(takeToken, {
  snapshot(picture) {
    grid.snapshot(picture.extensions);
    activity.snapshot(picture);
    wishes.snapshot(picture.extensions);
    reach(picture.connected);
  },
  change(sections) {
    if ("connected" in sections) reach(sections.connected);
    grid.change(sections.extensions);
    activity.change(sections);
    wishes.change(sections.extensions);
  },
  lost() {
    grid.forget();
    activity.forget();
    wishes.forget();
    show("lost");
  },
  refused() {
    if (!refusal) {
      window.location.reload();
      return;
    }
    root.querySelector("[data-refusal]").textContent = `${refusal[0].toUpperCase()}${refusal.slice(1)}.`;
    show("refused");
  },
});
connection.open();
