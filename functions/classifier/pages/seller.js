// The seller's page of one listing: reading it, the seller's answer, messages and events.
// `listing.js` has the requests, `photos.js` the photos, and `views.js` what the page shows.

const ARRIVAL_SECONDS = 20; // a photo of another page that takes longer has not been sent to its end
const INDEX_SECONDS = 15; // a new photo may be missing from the listing for this long
const POLL_SECONDS = { pending: 1, slow: 3, idle: 4, longest: 60 }; // the idle ones double until the longest

let listing = null; // as the API answered last
let model = { labels: [], categories: {} };
let mutations = 0; // so that an answer from before a change is not shown after it
const NO_ANSWER = Symbol("no answer");
let former; // the answer before the present one, which can be NO_ANSWER; undefined if this page knows of none
let saving; // the answer that is being saved; null stands for none of the labels
let isChoosing = false; // the seller wants another category than the confirmed one
let hasAnswered = false; // on this page
let isClosed = false;

// Sends a request until it is answered. A token that has ended, or a listing that is gone, closes the page.
async function call(method, path, options) {
  try {
    return await persist(() => request(method, path, options));
  } catch (error) {
    const isOfListing = path === "/uploads" || (method === "GET" && path.startsWith("/batches/"));
    if (error.status === 403) closeWithoutAccess();
    else if (error.status === 404 && isOfListing) closePage("This listing was removed", "It no longer exists in the shop.");
    throw error;
  }
}

const listingPath = () => `/batches/${encodeURIComponent(link.listing)}`;

// Reads the listing while the page is visible: often while photos are pending, else rarely.
const poll = {
  etag: null, since: 0, quiet: 0, wake: () => {}, isStarted: false,
  soon() {
    this.since = Date.now();
    this.quiet = 0;
    this.wake();
  },
  async start() {
    if (this.isStarted) return;
    this.isStarted = true;
    this.since = Date.now();
    while (!isClosed) {
      const asked = document.hidden ? null : await this.read().catch(() => null);
      await new Promise((resolve) => {
        this.wake = resolve;
        if (!document.hidden) setTimeout(resolve, 1000 * this.seconds(asked));
      });
    }
  },
  async read() {
    const before = mutations;
    const answer = await call("GET", listingPath(), { etag: this.etag });
    if (answer.status === 304) this.quiet += 1;
    else if (before === mutations) {
      this.etag = answer.headers.get("ETag");
      this.quiet = 0;
      take(await answer.json());
    }
    markMissing();
    return Number(answer.headers.get("Retry-After"));
  },
  seconds(asked) {
    if (photos.some(({ state }) => state === "checking")) {
      const isFresh = Date.now() - this.since < 1000 * ARRIVAL_SECONDS;
      return Math.max(asked ?? 0, isFresh ? POLL_SECONDS.pending : POLL_SECONDS.slow);
    }
    return Math.min(POLL_SECONDS.idle * 2 ** this.quiet, POLL_SECONDS.longest);
  },
};

// Shows what the API says of the listing and its photos.
function take(answer) {
  listing = answer;
  const items = listing.items.filter(({ id }) => !removedIds.has(id));
  const isOlder = (one, other) => one.created_at + one.id < other.created_at + other.id;
  items.sort((one, other) => placeBefore(one) - placeBefore(other) || (isOlder(one, other) ? -1 : 1));
  for (const item of items) {
    const known = photos.find(({ id }) => id === item.id);
    takeItem(known ?? addPhoto({ id: item.id, name: nameOf(item.id), state: "checking", needsThumbnail: true }), item);
  }
  const ids = new Set(items.map(({ id }) => id));
  for (const photo of [...photos]) if (isGone(photo, ids)) drop(photo);
  render();
}

function placeBefore({ id }) {
  const index = earlierOrder.indexOf(nameOf(id));
  return index < 0 ? earlierOrder.length : index;
}

// Another page may have removed a photo.
function isGone(photo, ids) {
  if (!photo.id || ids.has(photo.id) || isSending(photo)) return false;
  return photo.isListed || Date.now() - photo.since > 1000 * INDEX_SECONDS;
}

function takeItem(photo, item) {
  if (photo.state === "sending" && item.status === "PENDING") return;
  photo.isListed = true;
  if (item.status === "SUCCEEDED") Object.assign(photo, { state: "ready", problem: null });
  if (item.status === "FAILED" && photo.state !== "failed") {
    fail(photo, PROBLEMS[item.error.code] ?? "could not be checked. Please try again.", !(item.error.code in PROBLEMS));
  }
}

function markMissing() {
  for (const photo of photos) {
    const isLate = Date.now() - photo.since > 1000 * ARRIVAL_SECONDS;
    if (photo.state === "checking" && !photo.file && isLate) {
      photo.state = "missing";
      photo.problem = { text: "has not arrived. Please add it again.", canRetry: false };
      render();
    }
  }
}

// The answer.

// Saves a label, null for none of the labels, or takes the answer back with NO_ANSWER.
async function answer(label) {
  if (saving !== undefined) return;
  saving = label;
  render();
  const before = listing.confirmation ? listing.confirmation.label : NO_ANSWER;
  try {
    await finishRemoval();
    const path = `${listingPath()}/confirmation`;
    const response = await (label === NO_ANSWER ? call("DELETE", path) : call("PUT", path, { content: { label } }));
    mutations += 1;
    if (before !== label) former = before;
    Object.assign(poll, { etag: null, quiet: 0 });
    hasAnswered = true;
    isChoosing = false;
    saving = undefined;
    take(await response.json());
    byId("verdict").focus();
  } catch (error) {
    if (!isClosed) complain(`Your answer could not be saved. ${error.message}`);
  } finally {
    saving = undefined;
    render();
  }
}

// The page that embeds or opened this one gets a message, to the origin that the return address or the referrer has.
let told = null;

function tell() {
  const target = link.return?.origin ?? webAddress(document.referrer)?.origin;
  if (!hasAnswered || !target || photos.some(isSending)) return;
  const { batch_id, category, confirmation } = listing;
  if (!confirmation && told === null) return;
  const message = confirmation
    ? { type: "listing-confirmed", batch_id, label: confirmation.label, category, cover: coverPhoto()?.id ?? null }
    : { type: "listing-reopened", batch_id };
  const text = JSON.stringify(message);
  if (text === told) return;
  told = text;
  for (const page of [parent, opener]) if (page && page !== window) page.postMessage(message, target);
}

function coverPhoto() {
  return inStrip().find(({ id }) => id && nameOf(id) === link.cover) ?? inStrip()[0];
}

function makeCover(photo) {
  if (!photo.id) return;
  link.cover = nameOf(photo.id);
  render();
  say(`${photo.name} is the cover.`);
}

// Pages without a listing.

const WAY_OUT = "Go to the shop, and open your listing from there.";

function closeWithoutAccess() {
  if (!link.token) return closePage("Open this page from the shop", `This page belongs to one listing. ${WAY_OUT}`);
  const unsent = photos.filter(isSending).length;
  const lost = unsent ? ` ${counted(unsent)} could not be sent.` : "";
  return closePage("This link has ended", `${WAY_OUT} What you sent before is kept.${lost}`);
}

function closePage(title, text) {
  if (isClosed) return;
  isClosed = true;
  poll.wake();
  for (const { abort } of photos) abort.abort();
  for (const id of ["page", "removed", "notice"]) byId(id).hidden = true;
  byId("large").close();
  setText(byId("closed-title"), title);
  setText(byId("closed-text"), text);
  byId("closed").hidden = false;
  byId("closed-title").focus();
}

async function start() {
  for (const id of ["return", "closed-return"]) {
    byId(id).hidden = !link.return;
    if (link.return) Object.assign(byId(id), { href: link.return.href, textContent: `Continue to ${link.return.host}` });
  }
  setText(byId("limit"), megabytes());
  if (!link.token !== !link.listing) return closePage("This link is not complete", WAY_OUT);
  setTimeout(openPage, link.token ? 0 : 1000); // a service that needs a token says so within that time, mostly
  try {
    model = await (await call("GET", "/model")).json();
    openPage();
    render();
  } catch (error) {
    if (!isClosed) closePage("Something is wrong", `Please try again later. ${error.message}`);
  }
  return undefined;
}

function openPage() {
  if (isClosed || !byId("page").hidden) return;
  byId("page").hidden = false;
  render();
  if (link.token) poll.start();
}

// Events.

for (const [button, input] of [["choose", "files"], ["take", "camera"]]) {
  byId(button).onclick = () => byId(input).click();
  byId(input).onchange = ({ target }) => { addFiles([...target.files]); target.value = ""; };
}
byId("change").onclick = () => { isChoosing = true; render(); byId("verdict").focus(); };
byId("undo-answer").onclick = () => answer(former);
byId("undo-removal").onclick = undoRemoval;
byId("try-now").onclick = () => network.hurry();
byId("previous").onclick = () => step(-1);
byId("next").onclick = () => step(1);
byId("close").onclick = () => byId("large").close();
byId("large-cover").onclick = () => { makeCover(enlarged); byId("close").focus(); };
byId("large-remove").onclick = () => { const photo = enlarged; byId("large").close(); remove(photo); };
byId("large").onclose = () => {
  enlarged = null;
  byId("large-picture").replaceChildren();
  delete byId("large-picture").dataset.of;
};
byId("large").onkeydown = ({ key }) => { if (key === "ArrowLeft") step(-1); if (key === "ArrowRight") step(1); };
byId("large").onclick = ({ target }) => { if (target === byId("large")) byId("large").close(); };
byId("copy").onclick = async () => {
  const isCopied = await navigator.clipboard.writeText(location.href).then(() => true, () => false);
  setText(byId("copy"), isCopied ? "Copied" : "Copy the address above");
  say(isCopied ? "The link is copied." : "Please copy the page's address.");
  setTimeout(() => setText(byId("copy"), "Copy the link"), 4000);
};
for (const name of ["focusin", "pointerenter"]) byId("removed").addEventListener(name, () => clearTimeout(removal?.timer));
for (const name of ["focusout", "pointerleave"]) byId("removed").addEventListener(name, restartRemovalTimer);

network.onChange = (trouble) => {
  byId("notice").hidden = !trouble || isClosed;
  setText(byId("notice-text"), trouble?.text ?? "");
  byId("try-now").hidden = !trouble?.canHurry;
};

const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    document.body.classList.add("dragging");
  });
}
addEventListener("dragleave", ({ relatedTarget }) => { if (!relatedTarget) document.body.classList.remove("dragging"); });
addEventListener("drop", (event) => {
  document.body.classList.remove("dragging");
  if (!hasFiles(event)) return;
  event.preventDefault();
  addFiles([...event.dataTransfer.files]);
});
addEventListener("paste", ({ clipboardData }) => {
  const stamp = new Date().toISOString().slice(0, 19).replace(/\D/g, "");
  const files = [...(clipboardData?.files ?? [])];
  addFiles(files.map((file, index) => (file.name === "image.png" // the name of every picture on a clipboard
    ? new File([file], `pasted-${stamp}-${index + 1}.png`, { type: file.type }) : file)));
});
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && removal) { event.preventDefault(); undoRemoval(); }
});
addEventListener("hashchange", () => {
  const { token } = readLink();
  if (token !== link.token) location.reload();
});
addEventListener("beforeunload", (event) => { if (!isClosed && photos.some(isSending)) event.preventDefault(); });
addEventListener("pagehide", () => finishRemoval({ keepalive: true }));
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll.soon(); });

start();
