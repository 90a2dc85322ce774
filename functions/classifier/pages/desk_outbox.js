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
const storedAt = new Map(); // id to the time at which this tab learned that its answer is stored
const saveSession = () => sessionStorage.setItem("desk", JSON.stringify(session));
const isInOutbox = (id) => session.outbox.some((message) => message.id === id);
const isJustAnswered = (id) => Date.now() - (storedAt.get(id) ?? 0) < 1000 * SETTLED_SECONDS;
addEventListener("beforeunload", (event) => { if (session.outbox.length) event.preventDefault(); });

function post(message) {
  session.outbox.push({ ...message, postedAt: Date.now(), isOnTheWay: false, mayBeDone: false });
}

// `replaces` is the time of the seller's answer that this one replaces, or null.
function postAnswer({ item }, label, replaces) {
  session.mine = [...session.mine, item.id].slice(-500);
  post({ kind: "answer", id: item.id, label, replaces, modelLabel: item.label });
}

function postUndo({ item, own }, label) {
  const answer = session.outbox.findLast(({ id, kind }) => id === item.id && kind === "answer");
  const isUnsent = answer && !answer.isOnTheWay && !answer.mayBeDone;
  if (isUnsent) session.outbox.splice(session.outbox.indexOf(answer), 1);
  else post({ kind: "undo", id: item.id, label, own: answer ? null : own });
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
  await (message.kind === "answer" ? sendAnswer(message) : sendUndo(message));
  session.outbox.splice(session.outbox.indexOf(message), 1);
  saveSession();
  showCounts();
  sendMessages();
}

const confirmationPath = ({ id }) => `/confirmations/${encodeId(id)}`;

// Stores an answer, unless somebody has answered since this desk read the photo. A record can also change without an
// answer, for example when a new model classifies the photo: then the answer is sent again.
async function sendAnswer(message) {
  let headers = { "If-None-Match": "*" };
  let mustRead = message.replaces !== null;
  for (let attempt = 1; ; attempt += 1) {
    if (mustRead) {
      const seen = await readPhoto(message.id);
      if (seen.status !== 200) return reject(message, seen);
      const { confirmation } = seen.content;
      if (isOwnAnswer(message, confirmation)) return keepOwn(message, seen);
      if (confirmation && confirmation.at !== message.replaces) return discard(message, confirmation);
      headers = { "If-Match": seen.etag };
    }
    const sent = await request("answers", "PUT", confirmationPath(message), { body: { label: message.label }, headers });
    message.mayBeDone ||= sent.mayBeDone;
    if (sent.status === 200) return keepOwn(message, sent);
    if (sent.status !== 412 || attempt === MAX_CONFLICTS) return reject(message, sent);
    mustRead = true;
  }
}

// Tells whether the service has stored this answer, although its reply was lost.
const isOwnAnswer = ({ mayBeDone, label }, confirmation) => mayBeDone && confirmation?.by === "shop"
  && confirmation.label === label;

// Keeps what Undo needs, so that it takes back this answer and no later one.
function keepOwn(message, { content, etag }) {
  const own = { at: content.confirmation.at, etag };
  const undoMessage = session.outbox.find(({ id, kind }) => id === message.id && kind === "undo");
  if (undoMessage) undoMessage.own = own;
  const entry = entries.get(message.id);
  if (entry) entry.own = own;
  storedAt.set(message.id, Date.now());
}

// Corrects the counts for an answer that was not stored. There is nothing to undo then.
function uncount(message) {
  const undoIndex = session.outbox.findIndex(({ id, kind }) => id === message.id && kind === "undo");
  if (undoIndex >= 0) session.outbox.splice(undoIndex, 1);
  else count(message.modelLabel, message.label, -1);
}

const personOf = ({ by }) => (by === "seller" ? "the seller" : "somebody else");

function discard(message, confirmation) {
  const who = personOf(confirmation);
  uncount(message);
  setGone(entries.get(message.id), `Answered by ${who}`);
  const text = `Answered by ${who}: ${nameOf(confirmation.label)}. Your answer was not needed.`;
  if (confirmation.by === "seller") return notify(text);
  showOtherPhotos(text);
  check(); // the colleague has answered others, too
  return undefined;
}

function reject(message, { status, content }) {
  uncount(message);
  notify(status === 404 ? "The photo has been removed." : `An answer was refused: ${content?.error?.message ?? status}`);
  setGone(entries.get(message.id), status === 404 ? "Removed" : "Refused");
}

// Takes an answer back, unless somebody has answered after it.
async function sendUndo(message) {
  let etag = message.own?.etag;
  for (let attempt = 1; ; attempt += 1) {
    if (!etag) {
      const seen = await readPhoto(message.id);
      if (seen.status !== 200) return setGone(entries.get(message.id), "Removed");
      if (!isOwnStill(message, seen.content.confirmation)) return showUndone(message, seen.content);
      ({ etag } = seen);
    }
    const sent = await request("answers", "DELETE", confirmationPath(message), { headers: { "If-Match": etag } });
    if (sent.status === 200) return showUndone(message, sent.content);
    if (sent.status === 404) return setGone(entries.get(message.id), "Removed");
    if (sent.status !== 412 || attempt === MAX_CONFLICTS) {
      notify(`The answer could not be taken back: ${sent.content?.error?.message ?? sent.status}`);
      return setGone(entries.get(message.id), "Not taken back");
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
function showUndone({ id, own }, photo) {
  storedAt.delete(id);
  const entry = entries.get(id);
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
