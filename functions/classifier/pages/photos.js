// The photos of the listing on this page: their uploads, their removal and their pictures.

const TYPES = {
  jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", webp: "image/webp", gif: "image/gif", bmp: "image/bmp",
  tif: "image/tiff", tiff: "image/tiff", heic: "image/heic", heif: "image/heif", avif: "image/avif",
};
const PROBLEMS = { // by the API's error codes
  image_too_large: "is too large. Please make it smaller, and add it again.",
  unsupported_image: "is not a photo that we can read. JPEG, PNG and HEIC work, for example.",
  unreadable_image: "is damaged or incomplete. Please take or save it again.",
};
const MAX_BYTES = Number(document.querySelector('meta[name="max-bytes"]').content);
const MAX_NAME_BYTES = 200; // the API's limit, in UTF-8
const UPLOADS_AT_ONCE = 2;
const PICTURE_SIDE = 480; // pixels, as the API's thumbnails have
const UNDO_SECONDS = 8;

const photos = []; // in the strip's order
const removedIds = new Set(); // the listing may have them for another moment

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
    isListed: false, since: Date.now(), abort: new AbortController(), ...fields,
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
  let added = 0;
  for (const file of files) {
    if (inStrip().some((photo) => isSameFile(photo.file, file))) {
      complain(`${file.name} is here already.`);
      continue;
    }
    const photo = addPhoto({ file, name: file.name || "photo" });
    added += 1;
    if (!Object.values(TYPES).includes(contentType(file))) fail(photo, PROBLEMS.unsupported_image);
    else if (file.size === 0) fail(photo, "is empty. Please add it again.");
    else if (file.size > MAX_BYTES) fail(photo, `is larger than ${megabytes()}. Please make it smaller, and add it again.`);
    else drawPreview(photo);
  }
  if (added) say(added === 1 ? "1 photo added." : `${added} photos added.`);
  render();
  sendNext();
}

const isSameFile = (one, other) => ["name", "size", "lastModified"].every((field) => one?.[field] === other[field]);
const contentType = (file) => TYPES[file.name.split(".").pop().toLowerCase()] ?? file.type;
const megabytes = () => `${Math.round(MAX_BYTES / 2 ** 20)} MB`;

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
  const announcement = announcements.then(async () => {
    if (photo.abort.signal.aborted) throw new Refusal(0, "The photo was removed.");
    const file = { name: safeName(photo.name), content_type: contentType(photo.file) };
    const { batch_id: batchId, token, items } = await (await call("POST", "/uploads", { content: { files: [file] } })).json();
    const isNew = !link.token;
    if (isNew) Object.assign(link, { listing: batchId, token });
    takeForm(photo, items[0]);
    if (isNew) poll.start();
    return items[0];
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
function finishRemoval({ keepalive = false } = {}) {
  if (!removal) return null;
  const { photo, timer } = removal;
  clearTimeout(timer);
  removal = null;
  photo.abort.abort();
  drop(photo);
  render();
  sendNext();
  return photo.id ? removeForGood(photo.id, keepalive) : null;
}

async function removeForGood(id, keepalive = false) {
  removedIds.add(id);
  mutations += 1;
  try {
    await call("DELETE", `/classifications/${encodePath(id)}`, { keepalive });
  } catch (error) {
    if (error.status !== 404 && !isClosed) complain("A photo could not be removed.");
  }
  mutations += 1;
  poll.soon();
}

function drop(photo) {
  photos.splice(photos.indexOf(photo), 1);
  if (photo.picture) URL.revokeObjectURL(photo.picture);
}

function retry(photo) {
  if (photo.id) removeForGood(photo.id);
  Object.assign(photo, { id: null, state: "waiting", problem: null, isListed: false });
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
    showPicture(photo, await (await call("GET", `/thumbnails/${encodePath(photo.id)}`)).blob());
  } catch {
    // The tile stays without a picture.
  }
}

function showPicture(photo, blob) {
  photo.picture = URL.createObjectURL(blob);
  const image = Object.assign(new Image(), { src: photo.picture, alt: "" });
  photo.tile?.querySelector(".picture").replaceChildren(image);
}
