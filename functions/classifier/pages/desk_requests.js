"use strict";

// Requests to the API that survive slow and broken networks, and the API key. All files of the desk use them.

const LONGEST_BACKOFF_SECONDS = 30;
const TIMEOUT_SECONDS = 30; // API Gateway answers within 29 seconds
const api = document.querySelector('meta[name="api"]').content;
const byId = (id) => document.getElementById(id);
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

let pausedUntil = 0; // the service asked for this pause
let backoffUntil = 0; // the desk pauses by itself
const troubles = new Map(); // what does not work, to a sentence
addEventListener("online", () => { backoffUntil = 0; });

// Tell what the content of an answer is, as far as the desk reads it.
const isText = (value) => typeof value === "string";
const isTextOrNull = (value) => value === null || isText(value);
const isPicture = (content) => content instanceof Blob;
const isModel = (content) => Array.isArray(content?.labels) && content.labels.every(isText)
  && content.categories instanceof Object;
const isPrediction = (value) => isText(value?.label) && typeof value.score === "number";
const isConfirmation = (value) => isText(value?.at) && isText(value.by) && isTextOrNull(value.label);
const isPhoto = (content) => isText(content?.id) && isTextOrNull(content.label) && isText(content.created_at)
  && Array.isArray(content.predictions) && content.predictions.every(isPrediction)
  && (content.confirmation === null || isConfirmation(content.confirmation));
const isConfirmedPhoto = (content) => isPhoto(content) && content.confirmation !== null;
const isPage = (content) => Array.isArray(content?.items) && content.items.every(isPhoto)
  && isTextOrNull(content.next_cursor);

// Repeats a request until the service answers it. `fits` tells whether the content of a 200 answer is what the desk
// needs. `mayBeDone` tells whether an attempt without an answer may have had its effect. `tries` limits the attempts
// that end with a fault of the service.
async function request(what, method, path, fits, { body, headers = {}, tries = Infinity } = {}) {
  let mayBeDone = false;
  for (let attempt = 1; ; attempt += 1) {
    await pause();
    const key = sessionStorage.getItem("desk-key");
    const { status, content, etag, wait, isForeign } = await attemptOnce(method, path, key, body, headers, fits);
    if (status === 401 || status === 403) {
      if (key === sessionStorage.getItem("desk-key")) await askForKey(key !== null);
      continue;
    }
    mayBeDone ||= status === 0 || status >= 500;
    const isFinal = (status && status !== 429 && status < 500) || (attempt >= tries && status >= 500 && status !== 503);
    if (isFinal) {
      setTrouble(what, "");
      return { status, content, etag, mayBeDone };
    }
    const seconds = wait ?? Math.min(LONGEST_BACKOFF_SECONDS, 2 ** (attempt - 1));
    const until = Date.now() + 1000 * seconds;
    if (wait === undefined) backoffUntil = Math.max(backoffUntil, until);
    else pausedUntil = Math.max(pausedUntil, until);
    setTrouble(what, describeTrouble(status, Math.ceil(seconds), isForeign));
  }
}

async function pause() {
  for (;;) {
    const left = Math.max(pausedUntil, backoffUntil) - Date.now();
    if (left <= 0) return;
    await sleep(Math.min(1, left / 1000)); // not longer: the computer may be online again before
  }
}

async function attemptOnce(method, path, key, body, headers, fits) {
  try {
    const response = await fetch(api + path, {
      method, body: body && JSON.stringify(body), signal: AbortSignal.timeout(1000 * TIMEOUT_SECONDS),
      headers: { ...headers, ...(key && { "x-api-key": key }), ...(body && { "Content-Type": "application/json" }) },
    });
    const { status, headers: received } = response;
    const content = received.get("Content-Type") === "image/jpeg" ? await response.blob() : readJson(await response.text());
    if (!isOfService(status, content, fits)) return { status: 0, isForeign: true };
    return { status, content, etag: received.get("ETag"), wait: secondsToWait(received.get("Retry-After")) };
  } catch {
    return { status: 0 }; // no answer, or half of one
  }
}

// Tells whether the service has sent this answer. A proxy or a login page can answer in its place, with any status.
function isOfService(status, content, fits) {
  if (status === 200) return fits(content);
  return [401, 403, 429].includes(status) || status >= 500 || isText(content?.error?.code);
}

function readJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function secondsToWait(header) { // RFC 9110, section 10.2.3: seconds or a date
  if (!header) return undefined;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

function describeTrouble(status, seconds, isForeign) {
  const kept = session.outbox.length ? " Your answers are kept, and sent as soon as possible." : "";
  if (isForeign) return `The desk got an answer that is not from the service, perhaps a login page. It tries again.${kept}`;
  if (!status) return `${navigator.onLine ? "The service cannot be reached." : "You are offline."}${kept}`;
  if (seconds > 60) {
    const time = new Date(Date.now() + 1000 * seconds).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    return `The service has reached its limit of requests. The desk tries again at ${time}.${kept}`;
  }
  if (status === 429) return `There are too many requests. The service asks for a pause of ${seconds} s.${kept}`;
  return `The service is busy or has a fault. The desk tries again by itself.${kept}`;
}

function setTrouble(what, text) {
  if (text) troubles.set(what, text);
  else troubles.delete(what);
  const shown = [...troubles.values()][0] ?? "";
  if (byId("trouble").textContent !== shown) byId("trouble").textContent = shown;
}

let keyPromise = null; // while the page asks for the API key

function askForKey(isRejected) {
  keyPromise ??= new Promise((resolve) => {
    byId("ask-text").textContent = isRejected
      ? "The shop's API did not accept this key. Try another one."
      : "The key is kept in this tab only, until you close it.";
    byId("ask").showModal();
    byId("ask").onclose = () => byId("ask").showModal(); // nothing works without it
    byId("ask").querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem("desk-key", byId("secret").value.trim());
      byId("secret").value = "";
      byId("ask").onclose = focusCurrent;
      byId("ask").close();
      keyPromise = null;
      resolve();
    };
  });
  return keyPromise;
}

// Browsers resolve `..` in paths: ids with such parts get encoded slashes.
const encodeId = (id) => id.split("/").map(encodeURIComponent).join(/(^|\/)\.\.?(\/|$)/.test(id) ? "%2F" : "/");
const readPhoto = (what, id) => request(what, "GET", `/classifications/${encodeId(id)}`, isPhoto);
