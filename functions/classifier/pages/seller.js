// The seller's page of one listing: reading it, the seller's answer, messages and events.
// `listing.js` has the requests, `photos.js` the photos, and `views.js` what the page shows.

const ARRIVAL_SECONDS = 20; // a photo of another page that takes longer has not been sent to its end
const INDEX_SECONDS = 15; // a new photo may be missing from the listing for this long
const POLL_SECONDS = { pending: 1, slow: 3, idle: 5, longest: 60 }; // the idle ones double until the longest
const RECENT_SECONDS = 60; // the idle ones do not double before: another device may be at work
const SLOW_SECONDS = 2; // an answer that takes longer to save is called "not saved yet"
const CONFLICT_SECONDS = 0.5; // between two attempts to save an answer while the listing changes

let listing = null; // as the API answered last
let model = { labels: [], categories: {} };
let mutations = 0; // so that an answer from before a change is not shown after it
const NO_ANSWER = Symbol("no answer");
let last = null; // this page's last answer: { at, when it was stored; former, the answer before it, or NO_ANSWER }
let saving; // the answer that is being saved; null stands for none of the labels
let savingSince = 0;
let isChoosing = false; // the seller wants another category than the confirmed one
let hasAnswered = false; // on this page
let isClosed = false;

// Sends a request until it is answered. A token that has ended, or a listing that is gone, closes the page.
async function call(method, path, fits, options) {
  try {
    return await persist(() => request(method, path, fits, options));
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
    const headers = this.etag ? { "If-None-Match": this.etag } : {};
    const answer = await call("GET", listingPath(), isListing, { headers });
    if (answer.status !== 304 && before === mutations) take(answer);
    else if (Date.now() - this.since > 1000 * RECENT_SECONDS) this.quiet += 1;
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
function take({ content, headers }) {
  listing = content;
  Object.assign(poll, { etag: headers.get("ETag"), since: Date.now(), quiet: 0 });
  const items = listing.items.filter(({ id }) => !removedIds.has(id));
  for (const item of items) takeItem(photos.find(({ id }) => id === item.id) ?? addListed(item), item);
  const ids = new Set(items.map(({ id }) => id));
  for (const photo of [...photos]) if (isGone(photo, ids)) drop(photo);
  render();
}

// Adds a photo of another page, or of this one before it was reloaded, in the order in which they were announced.
function addListed({ id, created_at: createdAt }) {
  const isLater = (photo) => photo.createdAt && photo.createdAt + photo.id > createdAt + id;
  const index = photos.findIndex(isLater);
  const photo = addPhoto({ id, createdAt, name: nameOf(id), state: "checking", needsThumbnail: true });
  if (index >= 0) photos.splice(index, 0, photos.pop());
  return photo;
}

// Another page may have removed a photo.
function isGone(photo, ids) {
  if (!photo.id || ids.has(photo.id) || isSending(photo)) return false;
  return photo.isListed || Date.now() - photo.since > 1000 * INDEX_SECONDS;
}

function takeItem(photo, item) {
  if (photo.state === "sending" && item.status === "PENDING") return;
  Object.assign(photo, { isListed: true, createdAt: item.created_at });
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
  const before = listing.confirmation ? listing.confirmation.label : NO_ANSWER;
  const former = before === label ? last?.former : before;
  saving = label;
  savingSince = Date.now();
  setTimeout(render, 1000 * SLOW_SECONDS);
  render();
  try {
    await finishRemoval();
    await store(label);
    last = { at: listing.confirmation?.at, former };
    hasAnswered = true;
    isChoosing = false;
    byId("verdict").focus();
  } catch (error) {
    if (!isClosed) complain(`Your answer was not saved. ${error.message}`);
  } finally {
    saving = undefined;
    render();
  }
}

// Saves an answer, unless somebody else has answered since this page read the listing.
async function store(label) {
  const seenAt = listing.confirmation?.at;
  while (listing.confirmation?.at === seenAt) {
    try {
      const answer = await sendAnswer(label, seenAt ? { "If-Match": poll.etag ?? "*" } : { "If-None-Match": "*" });
      mutations += 1;
      return take(answer);
    } catch (error) {
      if (error.status !== 412) throw error;
    }
    await network.pause(CONFLICT_SECONDS, true);
    await poll.read();
  }
  const { label: stored, by } = listing.confirmation ?? { label: NO_ANSWER };
  if (stored === label && by !== "shop") return undefined; // it was saved, but the answer to that was lost
  throw new Refusal(412, "Somebody else has answered in the meantime.");
}

function sendAnswer(label, headers) {
  const [method, body] = label === NO_ANSWER ? ["DELETE"] : ["PUT", { label }];
  return call(method, `${listingPath()}/confirmation`, isListing, { body, headers, keepalive: true });
}

// Tells whether the present answer is the last one of this page, and another one was there before.
const canUndo = () => Boolean(listing?.confirmation) && listing.confirmation.at === last?.at && last.former !== undefined;

// Tells whether the seller has nothing left to do.
const isComplete = () => Boolean(listing?.confirmation) && inStrip().length > 0 && !shown().some(isSending);

// The page that embeds or opened this one gets a message, to the origin that the return address or the referrer has.
let told = null;

function tell() {
  const target = link.return?.origin ?? webAddress(document.referrer)?.origin;
  if (!hasAnswered || !target || photos.some(isSending)) return;
  const { batch_id, category, confirmation } = listing;
  if (!isComplete() && told === null) return;
  const message = isComplete()
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
  const texts = [`A link ends after a day. ${WAY_OUT} What you sent before is kept.`];
  if (unsent) texts.push(`${counted(unsent)} could not be sent.`);
  if (saving !== undefined) texts.push("Your last answer was not saved.");
  return closePage("This link does not work", texts.join(" "));
}

function closePage(title, text) {
  if (isClosed) return;
  isClosed = true;
  poll.wake();
  for (const { abort } of photos) abort.abort();
  for (const id of ["page", "removed", "notice"]) byId(id).hidden = true;
  byId("large").close();
  sayings = [];
  byId("live").textContent = "";
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
  setText(byId("limit"), LIMIT);
  if (!link.token !== !link.listing) return closePage("This link is not complete", WAY_OUT);
  setTimeout(openPage, link.token ? 0 : 1000); // a service that needs a token says so within that time, mostly
  try {
    model = (await call("GET", "/model", isModel)).content;
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
byId("undo-answer").onclick = () => answer(last.former);
byId("dismiss").onclick = () => { refusedFiles.length = 0; render(); byId("choose").focus(); };
byId("undo-removal").onclick = undoRemoval;
byId("try-now").onclick = () => network.hurry();
byId("previous").onclick = () => step(-1);
byId("next").onclick = () => step(1);
byId("close").onclick = () => byId("large").close();
byId("large-cover").onclick = () => { if (enlarged.state === "ready") makeCover(enlarged); };
byId("large-remove").onclick = () => { const photo = enlarged; byId("large").close(); remove(photo); };
byId("large").onclose = () => {
  holdTaps();
  enlarged = null;
  byId("large-picture").replaceChildren();
  delete byId("large-picture").dataset.of;
};
byId("large").onkeydown = ({ key }) => { if (key === "ArrowLeft") step(-1); if (key === "ArrowRight") step(1); };
byId("large").onclick = ({ target }) => { if (target === byId("large")) byId("large").close(); };
byId("copy").onclick = async () => {
  const copied = (async () => navigator.clipboard.writeText(location.href))(); // is refused in frames, for example
  const isCopied = await copied.then(() => true, () => false);
  byId("by-hand").hidden = isCopied;
  byId("link").value = location.href;
  if (!isCopied) byId("link").select();
  if (isCopied) say("The link is copied.");
  setText(byId("copy"), isCopied ? "Copied" : "Copy the link");
  setTimeout(() => setText(byId("copy"), "Copy the link"), 4000);
};
for (const name of ["focusin", "pointerenter"]) byId("removed").addEventListener(name, () => clearTimeout(removal?.timer));
for (const name of ["focusout", "pointerleave"]) byId("removed").addEventListener(name, restartRemovalTimer);

network.onChange = (trouble) => {
  byId("notice").hidden = !trouble || isClosed;
  setText(byId("notice-text"), trouble?.text ?? "");
  byId("try-now").hidden = !trouble?.canHurry;
  watchPlaces();
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
addEventListener("beforeunload", (event) => {
  const isUnsaved = saving !== undefined || removals > 0 || photos.some(isSending);
  if (isUnsaved && !isClosed) event.preventDefault();
});
addEventListener("pagehide", () => finishRemoval());
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll.soon(); });

start();
