// The queue of photos: which ones a view shows, in which order, and how the desk learns what others have answered.

const PAGE_SIZE = 100; // the API's limit
const ENOUGH = 500; // photos in memory, of which the least certain come first
const FEW = 200; // photos in memory; with fewer, the desk loads more
const MAX_PAGES = 10; // requests in a row for photos that disagree: most of a list do not
const CHECK_SECONDS = 5; // between two looks for what others have answered
const IDLE_CHECK_SECONDS = 30; // between two looks, once nobody has used the desk for IDLE_SECONDS
const IDLE_SECONDS = 120;
const FIRST_SECONDS = 1.5; // a slow list is shown before it is complete
const RECENT_SECONDS = 120; // a colleague who has answered within this time is at work

const hasPicture = ({ source, status, error }) => source === "s3" && (status !== "FAILED" || error?.code === "internal_error");

// A seller's answer about a whole listing is on all of its photos. If the model agrees on one of them, the others are its
// care label, for example, and nobody has to decide between seller and model.
const agreedAnswers = new Set();
const answerOf = ({ id, batch_id: batchId, confirmation }) => `${batchId ?? id} ${confirmation.at}`;
const isSellers = ({ confirmation }) => confirmation?.by === "seller";
const isDisputed = (item) => isSellers(item) && item.confirmation.label !== item.label && !agreedAnswers.has(answerOf(item));
function noteAgreements(items) {
  for (const item of items) if (isSellers(item) && item.confirmation.label === item.label) agreedAnswers.add(answerOf(item));
  upcoming = null;
}

const VIEWS = {
  review: {
    query: { needs_review: true, confirmed: false }, shows: (item) => item.needs_review && hasPicture(item),
    empty: "Nothing needs review.",
  },
  sellers: {
    query: { confirmed: true, status: "SUCCEEDED" }, shows: (item) => isDisputed(item) && hasPicture(item),
    empty: "No seller disagrees with the model.",
  },
  nopicture: {
    query: { needs_review: true, confirmed: false }, shows: (item) => item.needs_review && !hasPicture(item),
    empty: "No photo without a picture needs review.",
  },
};

const FROM_THE_TOP = { cursor: undefined, above: "~" }; // "~" sorts after all times

let view = "review";
let visit = 0; // increases when the view or a filter changes; answers to older requests are dropped
let entries = new Map(); // id to a photo of this view: { item, state, answer, own, node, picture, … }
let upcoming = null; // the photos of the next screen, once they are known
let cursor; // of the next page to load: undefined at the start, null at the end
let isLoading = false;
let checked = FROM_THE_TOP; // how far the look for others' answers is
let isChecking = false;
let checkedAt = 0;
let usedAt = Date.now();
let orderSeed = null; // a random text, once a colleague is at work: this desk then has an order of its own
for (const type of ["keydown", "pointerdown", "wheel"]) {
  addEventListener(type, () => { usedAt = Date.now(); }, { capture: true, passive: true });
}

// An entry's state is open, answered, skipped or gone.
const isOpen = (entry) => entry.state === "open";
const openEntries = () => [...entries.values()].filter((entry) => isOpen(entry) && VIEWS[view].shows(entry.item));
const listingOf = ({ item }) => item.batch_id ?? item.id;

// Identifies a photo: an upload to the same id replaces it by another photo.
const versionOf = ({ id, image }) => `${id} ${image?.etag}`;

// Returns the entry that a message is about, unless another photo has taken its place.
function entryOf({ id, version }) {
  const entry = entries.get(id);
  return entry && versionOf(entry.item) === version ? entry : undefined;
}

const earliestTime = () => (byId("time").value ? Date.now() - Number(byId("time").value) * 3600_000 : 0);
const hasFilters = () => Boolean(byId("label").value || byId("time").value);

function isWanted(item) {
  const label = byId("label").value;
  const isOfLabel = !label || item.label === label || (view === "sellers" && item.confirmation.label === label);
  return isOfLabel && VIEWS[view].shows(item) && Date.parse(item.created_at) >= earliestTime();
}

// Photos without a picture are in the same list as those with one: the button of the other view shows how many.
const isOfOtherView = (item) => view === "review" && VIEWS.nopicture.shows(item);

function addItems(items) {
  noteAgreements(items);
  for (const item of items) if (isWanted(item) || isOfOtherView(item)) addItem(item);
}

// Adds a photo, or opens one again that was answered or removed before. The list may be older than what is known.
function addItem(item) {
  const known = entries.get(item.id);
  if (known && Date.now() < known.settledAt) return;
  const isReplaced = known && versionOf(known.item) !== versionOf(item);
  const isUpToDate = known && (isOpen(known) || known.state === "skipped" || isAnswered(item));
  if (isReplaced) replaceEntry(known, item, 0);
  else if (!isUpToDate && !shown.includes(known)) setEntry(known ?? { picture: null }, item, 0);
}

function setEntry(entry, item, settledAt) {
  const state = isAnswered(item) ? "answered" : session.skipped.includes(versionOf(item)) ? "skipped" : "open";
  entries.set(item.id, Object.assign(entry, { item, state, own: null, settledAt }));
  upcoming = null;
}

// Takes the photo of an entry out of the queue, and adds the one that was uploaded to its id since.
function replaceEntry(entry, item, settledAt) {
  setGone(entry, "The photo was replaced");
  if (isWanted(item) || isOfOtherView(item)) setEntry({ picture: null }, item, settledAt);
}

function setGone(entry, reason) {
  if (!entry) return;
  Object.assign(entry, { state: "gone", reason, settledAt: Date.now() + 1000 * SETTLED_SECONDS });
  selected.delete(entry);
  forgetPicture(entry);
  upcoming = null;
  paint(entry);
  if (entry === current) showPanel();
}

// Returns the photos that are not on the screen: least certain first, the photos of a listing together.
// Once a colleague is at work, listings of about the same confidence come in an order of this desk's own.
function sortedPool() {
  const pool = openEntries().filter((entry) => !shown.includes(entry));
  const listings = new Map();
  for (const entry of pool) {
    const id = listingOf(entry);
    listings.set(id, Math.min(entry.item.confidence ?? 0, listings.get(id) ?? 1));
  }
  const rank = (entry) => {
    const least = listings.get(listingOf(entry));
    return orderSeed === null ? [least, 0] : [Math.floor(10 * least), hash(orderSeed + listingOf(entry))];
  };
  const ranked = pool.map((entry) => [...rank(entry), listingOf(entry), entry.item.confidence ?? 0, entry]);
  ranked.sort((a, b) => a[0] - b[0] || a[1] - b[1] || (a[2] < b[2] ? -1 : a[2] > b[2] ? 1 : 0) || a[3] - b[3]);
  return ranked.map((row) => row[4]);
}

function hash(text) { // FNV-1a
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ character.codePointAt(0), 0x01000193);
  return value >>> 0;
}

function upcomingEntries() {
  upcoming ??= sortedPool().slice(0, screenSize());
  return upcoming.filter(isOpen);
}

function listPath(from) {
  const label = view === "sellers" ? "" : byId("label").value; // the API filters these by the seller's label
  const query = { ...VIEWS[view].query, limit: PAGE_SIZE, ...(label && { label }), ...(from && { cursor: from }) };
  return `/classifications?${new URLSearchParams(query)}`;
}

async function load() {
  if (isLoading || cursor === null) return;
  isLoading = true;
  const ofVisit = visit;
  if (shown.length === 0) showState();
  try {
    await loadPages(ofVisit);
  } finally {
    if (ofVisit === visit) isLoading = false;
  }
  if (ofVisit !== visit) return;
  if (shown.some(isOpen)) fetchPictures();
  else drawNextScreen();
}

async function loadPages(ofVisit) {
  const began = Date.now();
  for (let pages = 0; cursor !== null && pages < MAX_PAGES && openEntries().length < ENOUGH; pages += 1) {
    const { status, content } = await request("list", "GET", listPath(cursor), isPage);
    if (ofVisit !== visit) return;
    if (status !== 200) {
      notify(content?.error?.message ?? "The list could not be read.");
      cursor = null;
      return;
    }
    addItems(content.items);
    const isTooOld = content.items.length > 0 && Date.parse(content.items.at(-1).created_at) < earliestTime();
    cursor = isTooOld ? null : content.next_cursor;
    showCounts();
    if (!shown.some(isOpen) && Date.now() - began > 1000 * FIRST_SECONDS) drawNextScreen();
  }
}

async function check() {
  const isIdle = Date.now() - usedAt > 1000 * IDLE_SECONDS;
  if (isIdle && Date.now() - checkedAt < 1000 * IDLE_CHECK_SECONDS) return;
  if (document.hidden || isLoading || isChecking || keyPromise || troubles.size) return;
  isChecking = true;
  checkedAt = Date.now();
  try {
    await checkPage();
  } finally {
    isChecking = false;
  }
}

// Reads one page of the list, and finds what others have answered since, and new photos.
async function checkPage() {
  const ofVisit = visit;
  const began = Date.now();
  const { status, content } = await request("list", "GET", listPath(checked.cursor), isPage);
  if (ofVisit !== visit || status !== 200) {
    checked = FROM_THE_TOP;
    return;
  }
  noteAgreements(content.items);
  const below = content.next_cursor ? content.items.at(-1)?.created_at ?? "~" : "";
  const present = new Set(content.items.filter((item) => VIEWS[view].shows(item)).map((item) => item.id));
  const isMissing = ({ item, settledAt }) => item.created_at < checked.above && item.created_at > below
    && !present.has(item.id) && !isInOutbox(item.id) && began > settledAt;
  const missing = openEntries().filter(isMissing);
  addItems(content.items);
  const oldest = [...entries.values()].reduce((least, { item }) => (item.created_at < least ? item.created_at : least), "~");
  checked = content.next_cursor && below > oldest ? { cursor: content.next_cursor, above: below } : FROM_THE_TOP;
  if (missing.length) await removeMissing(missing);
  if (!shown.some(isOpen)) goToNextScreen();
  showCounts();
}

async function removeMissing(missing) {
  for (const entry of missing) setGone(entry, "Answered or removed");
  const text = `Somebody else has answered or removed ${countedPhotos(missing.length)}.`;
  if (missing.some((entry) => shown.includes(entry))) notify(text);
  if (orderSeed !== null) return;
  const { content } = await readPhoto("list", missing[0].item.id);
  if (content.confirmation?.by === "shop") showOtherPhotos(text);
}

// Takes other photos onto the screen than the colleague has. The current and the selected photos stay: this desk's
// person is about to answer them.
function showOtherPhotos(text) {
  orderSeed = String(Math.random());
  upcoming = null;
  notify(`${text} Two people are at work: this desk goes on with other photos.`);
  const kept = shown.filter((entry) => isOpen(entry) && (entry === current || selected.has(entry)));
  shown = kept;
  shown = [...kept, ...upcomingEntries()].slice(0, Math.max(screenSize(), kept.length));
  if (!shown.includes(current)) current = shown[0] ?? null;
  drawScreen();
}

// Looks whether a colleague is at work, before the first photo is shown.
async function findColleagues() {
  const { status, content } = await request("list", "GET", `/classifications?confirmed=true&limit=${PAGE_SIZE}`, isPage);
  const isRecent = ({ id, confirmation }) => confirmation?.by === "shop" && !session.mine.includes(id)
    && Math.abs(Date.now() - Date.parse(confirmation.at)) < 1000 * RECENT_SECONDS;
  if (status === 200 && content.items.some(isRecent)) orderSeed = String(Math.random());
}
