// The photos of the listing on this page: their uploads, their removal and their pictures.

const TYPES = {
  jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", webp: "image/webp", gif: "image/gif", bmp: "image/bmp",
  tif: "image/tiff", tiff: "image/tiff", heic: "image/heic", heif: "image/heif", avif: "image/avif",
};
const PROBLEMS = { // by the API's error codes
  image_too_large: "is too large. Please make it smaller, and add it again.",
  unsupported_image: "cannot be used: its content is not a photo that we can read. JPEG, PNG and HEIC work, for example.",
  unreadable_image: "is damaged or incomplete. Please take or save it again.",
};
const MAX_BYTES = Number(document.querySelector('meta[name="max-bytes"]').content);
const LIMIT = `${Math.round(MAX_BYTES / 2 ** 20)}\u00a0MB`;
const REASONS = { // why a file is not sent: of one file, and of several
  type: ["is not a photo. JPEG, PNG and HEIC work, for example.", "are not photos. JPEG, PNG and HEIC work, for example."],
  empty: ["is empty. Choose another file.", "are empty. Choose other files."],
  size: [
    `is larger than ${LIMIT}. Make it smaller, and add it again.`,
    `are larger than ${LIMIT}. Make them smaller, and add them again.`,
  ],
};
const MAX_NAME_BYTES = 200; // the API's limit, in UTF-8
const UPLOADS_AT_ONCE = 2;
const PICTURE_SIDE = 480; // pixels, as the API's thumbnails have
const UNDO_SECONDS = 8;

const photos = []; // in the strip's order
const refusedFiles = []; // that were never sent: { name, reason }
const removedIds = new Set(); // the listing may have them for another moment
let removals = 0; // that the API has not answered yet

// Photos. `state` is waiting, sending, checking, ready, failed or missing.

const isSending = ({ state }) => state === "waiting" || state === "sending";
const isPending = (photo) => isSending(photo) || photo.state === "checking";
const hasFailed = ({ state }) => state === "failed" || state === "missing";
const shown = () => photos.filter((photo) => !photo.isRemoved);
const inStrip = () => shown().filter((photo) => !hasFailed(photo)); // the others are in the list of problems
const nameOf = (id) => id.slice(id.indexOf("/") + 1);

function addPhoto(fields) {
  const photo = {
    id: null, file: null, name: "", state: "waiting", progress: 0, problem: null, picture: null, isRemoved: false,
    isListed: false, createdAt: null, since: Date.now(), abort: new AbortController(), ...fields,
  };
  photos.push(photo);
  return photo;
}

function fail(photo, text, canRetry = false) {
  photo.state = "failed";
  photo.problem = { text, canRetry: canRetry && photo.file !== null };
  say(`${photo.name} ${text}`);
}

function addFiles(files) {
  if (isClosed) return;
  const isHere = (file) => inStrip().some((photo) => isSameFile(photo.file, file));
  const doubles = files.filter(isHere);
  const usable = files.filter((file) => !isHere(file) && !isRefused(file));
  for (const file of usable) drawPreview(addPhoto({ file, name: file.name || "photo" }));
  if (doubles.length === 1) complain(`${doubles[0].name} is here already.`);
  if (doubles.length > 1) complain(`${counted(doubles.length)} are here already.`);
  if (usable.length) say(`${counted(usable.length)} added.`);
  render();
  sendNext();
}

// Notes why a file cannot be sent, if there is a reason.
function isRefused(file) {
  const name = file.name || "photo";
  const reason = reasonAgainst(file);
  const isNoted = refusedFiles.some((other) => other.name === name && other.reason === reason);
  if (reason && !isNoted) refusedFiles.push({ name, reason });
  if (reason) say(`${name} ${REASONS[reason][0]}`);
  return reason !== null;
}

function reasonAgainst(file) {
  if (!Object.values(TYPES).includes(contentType(file))) return "type";
  if (file.size === 0) return "empty";
  return file.size > MAX_BYTES ? "size" : null;
}

const isSameFile = (one, other) => ["name", "size", "lastModified"].every((field) => one?.[field] === other[field]);
const contentType = (file) => TYPES[file.name.split(".").pop().toLowerCase()] ?? file.type;

// Returns a name that the API accepts: without forbidden characters, and shortened before its extension.
function safeName(name) {
  const clean = name.replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069/\\]/gu, "_").replaceAll("${", "_");
  const byteLength = (text) => new TextEncoder().encode(text).length;
  const dot = clean.lastIndexOf(".");
  const [stem, extension] = dot > 0 ? [[...clean.slice(0, dot)], clean.slice(dot)] : [[...clean], ""];
  while (stem.length > 1 && byteLength(stem.join("") + extension) > MAX_NAME_BYTES) stem.pop();
  const short = stem.join("").toWellFormed?.() ?? stem.join("");
  const isUsable = byteLength(short + extension) <= MAX_NAME_BYTES && !/^\.{0,2}$/.test(short + extension);
  return isUsable ? short + extension : "photo";
}

// Uploads: the first photos first, two at a time.

function sendNext() {
  const active = photos.filter(({ state }) => state === "sending").length;
  const waiting = shown().filter(({ state }) => state === "waiting");
  for (const photo of waiting.slice(0, Math.max(0, UPLOADS_AT_ONCE - active))) send(photo);
}

async function send(photo) {
  photo.state = "sending";
  photo.progress = 0;
  render();
  try {
    await upload(photo);
    if (photo.state === "sending") Object.assign(photo, { state: "checking", since: Date.now() });
    poll.soon();
  } catch (error) {
    if (error.status !== 0 && !isClosed) fail(photo, problemOf(error), error.status !== 413);
  }
  render();
  sendNext();
}

function problemOf(error) {
  if (error.status === 413) return PROBLEMS.image_too_large;
  return error.status === 400 && error.message ? `was refused. ${error.message}` : "could not be sent. Please try again.";
}

// A form that has ended is refused with 403. The second one is new.
async function upload(photo, isSecond = false) {
  const form = await announce(photo);
  const showProgress = (share) => { photo.progress = share; renderTile(photo); };
  try {
    await persist(() => postForm(form, photo.file, showProgress, photo.abort.signal));
  } catch (error) {
    if (error.status === 0 || error.status === 413) throw error;
    removeForGood(photo.id);
    photo.id = null;
    if (error.status !== 403 || isSecond) throw new Refusal(error.status, "");
    await upload(photo, true);
  }
}

// One request after another: the first makes the listing if there is none.
let announcements = Promise.resolve();

function announce(photo) {
  const key = crypto.getRandomValues(new Uint32Array(4)).join("-"); // with it, a repetition makes no second photo
  const headers = { "Idempotency-Key": key };
  const announcement = announcements.then(async () => {
    if (photo.abort.signal.aborted) throw new Refusal(0, "The photo was removed.");
    const body = { files: [{ name: safeName(photo.name), content_type: contentType(photo.file) }] };
    const { content } = await call("POST", "/uploads", isAnnouncement, { body, headers });
    const isNew = !link.token;
    if (isNew) Object.assign(link, { listing: content.batch_id, token: content.token });
    takeForm(photo, content.items[0]);
    if (isNew) poll.start();
    return content.items[0];
  });
  announcements = announcement.catch(() => {});
  return announcement;
}

function takeForm(photo, { id }) {
  const double = photos.find((other) => other.id === id); // if the listing was faster than this answer
  if (double) drop(double);
  photo.id = id;
  photo.since = Date.now();
  if (!photo.abort.signal.aborted) return;
  removeForGood(id);
  throw new Refusal(0, "The photo was removed.");
}

// Removal. The photo is hidden at once and deleted a little later, so that the seller can undo it.

let removal = null; // { photo, timer }

function remove(photo) {
  finishRemoval();
  const index = Math.max(0, inStrip().indexOf(photo));
  photo.isRemoved = true;
  removal = { photo };
  restartRemovalTimer();
  render();
  say("Photo removed. Undo is possible for a few seconds.");
  const next = inStrip()[Math.min(index, inStrip().length - 1)];
  (next ? next.tile.querySelector(".open") : byId("choose")).focus();
}

function restartRemovalTimer() {
  clearTimeout(removal?.timer);
  if (removal) removal.timer = setTimeout(finishRemoval, 1000 * UNDO_SECONDS);
}

function undoRemoval() {
  if (!removal) return;
  const { photo } = removal;
  clearTimeout(removal.timer);
  removal = null;
  photo.isRemoved = false;
  render();
  say("The photo is back.");
  (hasFailed(photo) ? photo.row.querySelector("button:not([hidden])") : photo.tile.querySelector(".open")).focus();
  sendNext();
}

// Returns a promise that ends when the photo is gone.
function finishRemoval() {
  if (!removal) return null;
  const { photo, timer } = removal;
  clearTimeout(timer);
  removal = null;
  photo.abort.abort();
  drop(photo);
  render();
  sendNext();
  return photo.id ? removeForGood(photo.id) : null;
}

async function removeForGood(id) {
  removedIds.add(id);
  removals += 1;
  mutations += 1;
  try {
    await call("DELETE", `/classifications/${encodeId(id)}`, isEmpty, { keepalive: true });
  } catch (error) {
    if (error.status !== 404 && !isClosed) complain("A photo could not be removed.");
  }
  removals -= 1;
  mutations += 1;
  poll.soon();
}

function drop(photo) {
  photos.splice(photos.indexOf(photo), 1);
  if (photo.picture) URL.revokeObjectURL(photo.picture);
}

function retry(photo) {
  if (photo.id) removeForGood(photo.id);
  photos.push(...photos.splice(photos.indexOf(photo), 1)); // other devices will show it as the newest
  Object.assign(photo, { id: null, state: "waiting", problem: null, isListed: false, createdAt: null });
  render();
  sendNext();
}

// Pictures: drawn from the file where the browser can read it, else the API's thumbnail.

let drawings = Promise.resolve(); // one at a time: a photo of 50 megapixels needs 200 MB

function drawPreview(photo) {
  drawings = drawings.then(async () => {
    try {
      const bitmap = await createImageBitmap(photo.file, { resizeWidth: PICTURE_SIDE, resizeQuality: "medium" });
      const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
      const context = canvas.getContext("2d");
      context.fillStyle = "white";
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(bitmap, 0, 0);
      bitmap.close();
      showPicture(photo, await new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", 0.85); }));
    } catch {
      photo.needsThumbnail = true; // a HEIC, for example
      renderTile(photo);
    }
  });
}

const visibleTiles = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const photo = photos.find(({ tile }) => tile === target);
    if (photo) photo.isInView = isIntersecting;
    if (photo) fetchThumbnail(photo);
  }
}, { rootMargin: "200px" });

async function fetchThumbnail(photo) {
  if (!photo.needsThumbnail || !photo.isInView || photo.state !== "ready") return;
  photo.needsThumbnail = false;
  try {
    showPicture(photo, (await call("GET", `/thumbnails/${encodeId(photo.id)}`, isPicture, { cache: "default" })).content);
  } catch {
    // The tile stays without a picture.
  }
}

function showPicture(photo, blob) {
  photo.picture = URL.createObjectURL(blob);
  const image = Object.assign(new Image(), { src: photo.picture, alt: "" });
  photo.tile?.querySelector(".picture").replaceChildren(image);
}
