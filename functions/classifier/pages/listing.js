"use strict";

// The link to the listing, and requests to the API that survive slow and broken networks. `seller.js` uses them.

const api = document.querySelector('meta[name="api"]').content;
const REQUEST_SECONDS = 30; // API Gateway answers within 29 seconds
const STALLED_SECONDS = 30; // an upload without progress for this long begins again
const LONGEST_PAUSE_SECONDS = 15; // between two attempts, unless the service asks for more

// What is after `#` goes to no server: the token is neither in logs nor in referrers.
const link = readLink();

function readLink() {
  const fields = new URLSearchParams(location.hash.slice(1));
  const [listing, token, cover] = ["listing", "token", "cover"].map((name) => fields.get(name) || null);
  return { listing, token, cover, return: webAddress(fields.get("return")) };
}

function saveLink() {
  const hash = `#${new URLSearchParams(Object.entries(link).filter(([, value]) => value))}`;
  if (location.hash !== hash) history.replaceState(null, "", hash);
}

function webAddress(text) {
  try {
    const url = new URL(text);
    return /^https?:$/.test(url.protocol) ? url : null;
  } catch {
    return null;
  }
}

// A request that the API or the bucket refused. `retryAfter` is in seconds.
class Refusal extends Error {
  constructor(status, message, retryAfter = 0) {
    super(message);
    Object.assign(this, { status, retryAfter });
  }
}

// An answer that is not the API's: of a proxy, or of a network's login page. Its status can be any.
class ForeignAnswer extends Error {}

const isTransient = (error) => !(error instanceof Refusal) || error.status === 429 || error.status >= 500;

// An encoded slash keeps browsers from resolving the segments `.` and `..`.
const encodeId = (id) => id.split("/").map(encodeURIComponent).join(/(^|\/)\.\.?(\/|$)/.test(id) ? "%2F" : "/");

// Tell what the content of an answer is, as far as the page reads it.
const isText = (value) => typeof value === "string";
const isEmpty = (content) => content === null;
const isPicture = (content) => content instanceof Blob;
const isModel = (content) => Array.isArray(content?.labels) && content.labels.every(isText)
  && content.categories instanceof Object;
const isPhoto = (content) => isText(content?.id) && isText(content.status) && isText(content.created_at);
const isForm = (content) => isText(content?.id) && isText(content.url) && content.fields instanceof Object;
const isAnnouncement = (content) => isText(content?.batch_id) && isText(content.token) && Array.isArray(content.items)
  && content.items.length === 1 && content.items.every(isForm);
const isListing = (content) => content?.batch_id === link.listing && Array.isArray(content.predictions)
  && (content.confirmation === null || isText(content.confirmation?.at))
  && Array.isArray(content.items) && content.items.every(isPhoto);

// Sends a request. `fits` tells whether the content of a successful answer is what the page needs. Answers do not come
// from the browser's cache: after "Back", it would show an old listing.
async function request(method, path, fits, { body, headers = {}, keepalive = false, cache = "no-store" } = {}) {
  const type = body && { "Content-Type": "application/json" };
  const access = link.token && { Authorization: `Bearer ${link.token}` };
  const url = `${api}${link.token ? "/listings" : ""}${path}`;
  const response = await fetch(url, {
    method, keepalive, cache, body: body && JSON.stringify(body), signal: AbortSignal.timeout(1000 * REQUEST_SECONDS),
    headers: { ...headers, ...type, ...access },
  });
  const { status, headers: received } = response;
  const content = received.get("Content-Type") === "image/jpeg" ? await response.blob() : readJson(await response.text());
  if (status === 304 || (response.ok && fits(content))) return { status, headers: received, content };
  const { code, message = "" } = content?.error ?? {};
  const isOfService = !response.ok && (isText(code) || status === 429 || status >= 500);
  if (!isOfService) throw new ForeignAnswer();
  throw new Refusal(status, message, Number(received.get("Retry-After")) || 0);
}

// Returns null for an empty text, and undefined for one that is not JSON.
function readJson(text) {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return undefined;
  }
}

// Retries an operation until it succeeds or is refused for good. `network.onChange` hears of the trouble meanwhile.
async function persist(operation) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const result = await operation();
      network.report(operation, null);
      return result;
    } catch (error) {
      if (!isTransient(error)) {
        network.report(operation, null);
        throw error;
      }
      const seconds = Math.max(error.retryAfter ?? 0, Math.min(2 ** attempt, LONGEST_PAUSE_SECONDS));
      const isBrief = error instanceof Refusal && attempt === 0 && seconds < 3; // not worth a word
      if (!isBrief) network.report(operation, { text: describeTrouble(error, seconds), canHurry: !error.retryAfter });
      await network.pause(seconds, !error.retryAfter);
    }
  }
}

function describeTrouble(error, seconds) {
  if (!navigator.onLine) return "You are offline. We go on as soon as you are online again.";
  if (error instanceof ForeignAnswer) {
    return "Another page answers instead of the shop. Does your network want you to log in? We keep trying.";
  }
  if (!(error instanceof Refusal)) return "We cannot reach the shop. We keep trying.";
  if (seconds > 60) {
    const time = new Date(Date.now() + 1000 * seconds).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    return `The shop has reached its limit for now. We try again at ${time}.`;
  }
  if (error.status === 429 || error.status === 503) return "The shop is busy. We go on in a moment.";
  return "The shop's service has a problem. We keep trying.";
}

// What is in trouble, and the pauses before the next attempts.
const network = {
  troubles: new Map(),
  hurries: new Set(),
  onChange: () => {},
  report(operation, trouble) {
    if (trouble) this.troubles.set(operation, trouble);
    else if (!this.troubles.delete(operation)) return;
    this.onChange([...this.troubles.values()].at(-1));
  },
  // Waits. `hurry` ends the pause, unless the service itself asked for it.
  pause(seconds, canHurry) {
    return new Promise((resolve) => {
      const end = () => { clearTimeout(timer); this.hurries.delete(end); resolve(); };
      const timer = setTimeout(end, 1000 * seconds);
      if (canHurry) this.hurries.add(end);
    });
  },
  hurry() {
    for (const end of [...this.hurries]) end();
  },
};
addEventListener("online", () => network.hurry());

// Posts a file to the bucket. `onProgress` gets the share that was sent; `signal` ends the upload.
function postForm(form, file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const upload = new XMLHttpRequest();
    const data = new FormData();
    for (const [name, value] of Object.entries(form.fields)) data.append(name, value);
    data.append("file", file);
    let watchdog;
    const watch = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => upload.abort(), 1000 * STALLED_SECONDS);
    };
    upload.upload.onprogress = ({ loaded, total }) => { watch(); onProgress(loaded / total); };
    upload.onload = () => {
      if (upload.status === 204) return resolve();
      const isOfBucket = upload.responseText.includes("<Error>") || upload.status >= 500;
      if (!isOfBucket) return reject(new ForeignAnswer());
      const isTooLarge = upload.responseText.includes("EntityTooLarge");
      return reject(new Refusal(isTooLarge ? 413 : upload.status, upload.responseText));
    };
    upload.onerror = () => reject(new Error("The connection was lost."));
    const removed = new Refusal(0, "The photo was removed.");
    upload.onabort = () => reject(signal.aborted ? removed : new Error("The upload stalled."));
    upload.onloadend = () => clearTimeout(watchdog);
    signal.addEventListener("abort", () => upload.abort());
    if (signal.aborted) return reject(removed);
    upload.open("POST", form.url);
    upload.send(data);
    return watch();
  });
}
