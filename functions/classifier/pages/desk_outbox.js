// The answers of this tab on their way to the service: those about one photo in their order, also after a reload.

const PARALLEL_ANSWERS = 4;
const MAX_CONFLICTS = 5; // attempts while a record changes, although nobody answers
const SETTLED_SECONDS = 15; // lists may show an older state for a few seconds

// What outlives a reload of this tab: counts, skipped photos, and answers that are not sent yet.
const session = {
  answered: 0, judged: 0, agreed: 0, skipped: [], mine: [], outbox: [], ...readJson(sessionStorage.getItem("desk")),
};
for (const message of session.outbox) {
  message.mayBeDone ||= message.isOnTheWay;
  message.isOnTheWay = false;
}
const storedAt = new Map(); // a photo's version to the time at which this tab learned that its answer is stored
const saveSession = () => sessionStorage.setItem("desk", JSON.stringify(session));
const isInOutbox = (id) => session.outbox.some((message) => message.id === id);
const isAnswerTo = (version) => (message) => message.kind === "answer" && message.version === version;
const isUndoOf = (version) => (message) => message.kind === "undo" && message.version === version;

// Tells whether this tab has answered the photo: lists do not know that yet.
function isAnswered(item) {
  const version = versionOf(item);
  const isJustStored = Date.now() - (storedAt.get(version) ?? 0) < 1000 * SETTLED_SECONDS;
  return isJustStored || session.outbox.some(isAnswerTo(version));
}
addEventListener("beforeunload", (event) => { if (session.outbox.length) event.preventDefault(); });

function post(item, message) {
  const about = { id: item.id, version: versionOf(item) };
  session.outbox.push({ ...about, ...message, postedAt: Date.now(), isOnTheWay: false, mayBeDone: false });
}

// `replaces` is the time of the seller's answer that this one replaces, if there is one.
function postAnswer({ item }, label) {
  session.mine = [...session.mine, item.id].slice(-500);
  post(item, { kind: "answer", label, replaces: item.confirmation?.at, modelLabel: item.label });
}

function postUndo({ item, own }, label) {
  const answer = session.outbox.findLast(isAnswerTo(versionOf(item)));
  const isUnsent = answer && !answer.isOnTheWay && !answer.mayBeDone;
  if (isUnsent) session.outbox.splice(session.outbox.indexOf(answer), 1);
  else post(item, { kind: "undo", label, own: answer ? null : own });
}

// Sends messages about different photos at the same time.
function sendMessages() {
  const isFirst = (message) => session.outbox.find(({ id }) => id === message.id) === message;
  const waiting = session.outbox.filter((message) => !message.isOnTheWay && isFirst(message));
  const free = PARALLEL_ANSWERS - session.outbox.filter(({ isOnTheWay }) => isOnTheWay).length;
  for (const message of waiting.slice(0, Math.max(0, free))) send(message);
}

async function send(message) {
  message.isOnTheWay = true;
  saveSession();
  try {
    await (message.kind === "answer" ? sendAnswer(message) : sendUndo(message));
    session.outbox.splice(session.outbox.indexOf(message), 1);
  } finally { // after an exception, it is sent again
    Object.assign(message, { isOnTheWay: false, mayBeDone: true });
    saveSession();
  }
  showCounts();
  sendMessages();
}

const confirmationPath = ({ id }) => `/confirmations/${encodeId(id)}`;

// Stores an answer, unless the photo is another one than this desk has shown, or somebody has answered since. A record
// can also change without that, for example when a new model classifies the photo: then the answer is sent again.
async function sendAnswer(message) {
  for (let attempt = 1; ; attempt += 1) {
    const seen = await readPhoto("answers", message.id);
    if (seen.status !== 200) return reject(message, seen);
    if (versionOf(seen.content) !== message.version) return discardReplaced(message, seen.content);
    const { confirmation } = seen.content;
    if (isOwnAnswer(message, confirmation)) return keepOwn(message, seen);
    if (confirmation && confirmation.at !== message.replaces) return discard(message, confirmation);
    const content = { body: { label: message.label }, headers: { "If-Match": seen.etag } };
    const sent = await request("answers", "PUT", confirmationPath(message), isConfirmedPhoto, content);
    message.mayBeDone ||= sent.mayBeDone;
    if (sent.status === 200) return keepOwn(message, sent);
    if (sent.status !== 412 || attempt === MAX_CONFLICTS) return reject(message, sent);
  }
}

// Tells whether the service has stored this answer, although its reply was lost.
const isOwnAnswer = ({ mayBeDone, label }, confirmation) => mayBeDone && confirmation?.by === "shop"
  && confirmation.label === label;

// Keeps what Undo needs, so that it takes back this answer and no later one.
function keepOwn(message, { content, etag }) {
  const own = { at: content.confirmation.at, etag };
  const undoMessage = session.outbox.find(isUndoOf(message.version));
  if (undoMessage) undoMessage.own = own;
  const entry = entryOf(message);
  if (entry) entry.own = own;
  storedAt.set(message.version, Date.now());
}

// Corrects the counts for an answer that was not stored. There is nothing to undo then.
function uncount(message) {
  const undoIndex = session.outbox.findIndex(isUndoOf(message.version));
  if (undoIndex >= 0) session.outbox.splice(undoIndex, 1);
  else count(message.modelLabel, message.label, -1);
}

const personOf = ({ by }) => (by === "seller" ? "the seller" : "somebody else");

function discard(message, confirmation) {
  const who = personOf(confirmation);
  uncount(message);
  setGone(entryOf(message), `Answered by ${who}`);
  const text = `Answered by ${who}: ${nameOf(confirmation.label)}. Your answer was not needed.`;
  if (confirmation.by === "seller") return notify(text);
  showOtherPhotos(text);
  check(); // the colleague has answered others, too
  return undefined;
}

function discardReplaced(message, photo) {
  uncount(message);
  notify("The photo was replaced. Your answer was not stored.");
  showReplaced(message, photo);
}

function showReplaced(message, photo) {
  const entry = entryOf(message);
  if (!entry) return;
  replaceEntry(entry, photo, Date.now() + 1000 * SETTLED_SECONDS);
  if (!shown.some(isOpen)) goToNextScreen();
  showCounts();
}

function reject(message, { status, content }) {
  uncount(message);
  notify(status === 404 ? "The photo has been removed." : `An answer was refused: ${content?.error?.message ?? status}`);
  setGone(entryOf(message), status === 404 ? "Removed" : "Refused");
}

// Takes an answer back, unless somebody has answered after it.
async function sendUndo(message) {
  let etag = message.own?.etag;
  for (let attempt = 1; ; attempt += 1) {
    if (!etag) {
      const seen = await readPhoto("answers", message.id);
      if (seen.status !== 200) return setGone(entryOf(message), "Removed");
      if (versionOf(seen.content) !== message.version) {
        notify("The photo was replaced. There is nothing to take back.");
        return showReplaced(message, seen.content);
      }
      if (!isOwnStill(message, seen.content.confirmation)) return showUndone(message, seen.content);
      ({ etag } = seen);
    }
    const headers = { "If-Match": etag };
    const sent = await request("answers", "DELETE", confirmationPath(message), isPhoto, { headers });
    if (sent.status === 200) return showUndone(message, sent.content);
    if (sent.status === 404) return setGone(entryOf(message), "Removed");
    if (sent.status !== 412 || attempt === MAX_CONFLICTS) {
      notify(`The answer could not be taken back: ${sent.content?.error?.message ?? sent.status}`);
      return setGone(entryOf(message), "Not taken back");
    }
    etag = null;
  }
}

function isOwnStill({ own, label }, confirmation) {
  if (confirmation?.by !== "shop") return false;
  return own ? confirmation.at === own.at : confirmation.label === label;
}

// Shows the photo as it is without this tab's answer. What was said about its listing holds again, and somebody may
// have answered since.
function showUndone(message, photo) {
  const { version, own } = message;
  storedAt.delete(version);
  const entry = entryOf(message);
  if (!entry || !isOpen(entry)) return undefined;
  const { confirmation } = photo;
  Object.assign(entry, { item: photo, own: null, settledAt: Date.now() + 1000 * SETTLED_SECONDS });
  if (view === "sellers" ? isDisputed(photo) : !confirmation) return paint(entry);
  if (!confirmation) {
    notify("The seller's own answer could not be restored. The photo has no answer now.");
    return setGone(entry, "Has no answer now");
  }
  if (own && confirmation.at < own.at) return setGone(entry, "Its listing is confirmed");
  const who = personOf(confirmation);
  notify(`Nothing was taken back: ${who} has answered this photo since.`);
  return setGone(entry, `Answered by ${who}`);
}
