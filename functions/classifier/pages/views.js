// What the page shows of the photos and of the category.

const SUGGESTIONS = 3;
const STEADY_MILLISECONDS = 500; // a control that has just moved or appeared takes no taps for this long
const SPOKEN_MILLISECONDS = 5000; // then a screen reader has read a text
const NAMES = 3; // of files with the same problem

const byId = (id) => document.getElementById(id);
const categoryName = (label) => model.categories[label]?.name ?? label.replace(/^./, (letter) => letter.toUpperCase());
const counted = (number) => (number === 1 ? "1 photo" : `${number} photos`);

let sayings = [];
let silenceTimer;

// Tells it to screen readers, together with what else happens at that time.
function say(text) {
  if (!sayings.length) setTimeout(speak, 300);
  sayings.push(text);
}

// People also find the text when they read the page, so it does not stay.
function speak() {
  byId("live").textContent = [...new Set(sayings)].join(" ");
  sayings = [];
  clearTimeout(silenceTimer);
  silenceTimer = setTimeout(() => { byId("live").textContent = ""; }, SPOKEN_MILLISECONDS);
}

// Shows a text for as long as it takes to read it.
function complain(text) {
  network.report(complain, { text });
  setTimeout(() => network.report(complain, null), 8000);
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function render() {
  if (isClosed) return;
  renderStrip();
  renderProblems();
  renderRefused();
  renderCategory();
  renderLarge();
  byId("share").hidden = !link.token;
  byId("removed").hidden = !removal;
  if (link.token) {
    const cover = coverPhoto();
    if (cover?.id) link.cover = nameOf(cover.id);
    saveLink();
  }
  if (listing) tell();
  watchPlaces();
}

// A second tap of a finger, or one that comes late, must not hit a control that was not there before.
let places = new Map();
let steadyTimer;

function watchPlaces() {
  const before = places;
  places = new Map();
  for (const control of document.querySelectorAll("#page :is(button:not(.cover), a), .toast button")) {
    const { left, top, width } = control.getBoundingClientRect();
    const isFixed = control.closest(".toast");
    if (width) places.set(control, isFixed ? "" : `${Math.round(left + scrollX)} ${Math.round(top + scrollY)}`);
  }
  if ([...places].some(([control, place]) => before.get(control) !== place)) holdTaps();
}

function holdTaps() {
  document.body.classList.add("moving");
  clearTimeout(steadyTimer);
  steadyTimer = setTimeout(() => document.body.classList.remove("moving"), STEADY_MILLISECONDS);
}

function renderStrip() {
  const strip = byId("strip");
  const current = inStrip();
  const tiles = new Set(current.map((photo) => (photo.tile ??= makeTile(photo))));
  for (const tile of strip.querySelectorAll(".tile")) if (!tiles.has(tile)) tile.remove();
  current.forEach(({ tile }, index) => {
    if (strip.children[index] !== tile) strip.insertBefore(tile, strip.children[index]);
  });
  strip.classList.toggle("empty", current.length === 0);
  setText(byId("choose-text"), current.length ? "Add" : "Add photos");
  byId("choose").setAttribute("aria-label", "Add photos");
  setText(byId("take-text"), current.length ? "Camera" : "Take a photo");
  current.forEach(renderTile);
  setText(byId("progress"), progressText(current));
}

function progressText(current) {
  const [sending, checking] = [current.filter(isSending).length, current.filter(({ state }) => state === "checking").length];
  if (sending) return `${counted(sending)} still to send`;
  if (checking) return `Checking ${counted(checking)}`;
  return current.length ? counted(current.length) : "";
}

function makeTile(photo) {
  const tile = byId("tile").content.firstElementChild.cloneNode(true);
  photo.tile = tile;
  tile.querySelector(".open").onclick = () => openLarge(photo);
  tile.querySelector(".remove").onclick = () => remove(photo);
  tile.querySelector(".cover").onclick = () => makeCover(photo);
  visibleTiles.observe(tile);
  if (photo.picture) tile.querySelector(".picture").append(Object.assign(new Image(), { src: photo.picture, alt: "" }));
  return tile;
}

const STATES = { waiting: "Waiting", sending: "Sending", checking: "Checking", ready: "" };

function renderTile(photo) {
  const { tile, state } = photo;
  if (!tile || hasFailed(photo)) return;
  const isCover = coverPhoto() === photo;
  const number = inStrip().indexOf(photo) + 1;
  tile.dataset.state = state;
  setText(tile.querySelector(".state"), STATES[state]);
  const progress = tile.querySelector("progress");
  progress.hidden = state !== "sending";
  progress.value = photo.progress;
  progress.setAttribute("aria-label", `Sending ${photo.name}`);
  tile.querySelector(".badge").hidden = !isCover;
  const cover = tile.querySelector(".cover");
  cover.hidden = isCover || state !== "ready";
  cover.setAttribute("aria-label", `Make ${photo.name} the cover`);
  tile.querySelector(".remove").setAttribute("aria-label", `Remove ${photo.name}`);
  const parts = [`Photo ${number}, ${photo.name}`, isCover && "cover", STATES[state]].filter(Boolean);
  tile.querySelector(".open").setAttribute("aria-label", parts.join(", "));
  fetchThumbnail(photo);
}

function renderProblems() {
  const list = byId("problems");
  const bad = shown().filter(hasFailed);
  const rows = bad.map((photo) => (photo.row ??= makeProblem(photo)));
  for (const row of [...list.children]) if (!rows.includes(row)) row.remove();
  rows.forEach((row, index) => { if (list.children[index] !== row) list.insertBefore(row, list.children[index]); });
  bad.forEach(({ row, name, problem }) => {
    setText(row.querySelector("b"), name);
    setText(row.querySelector("span"), ` ${problem.text}`);
    row.querySelector(".again").hidden = !problem.canRetry;
  });
}

function makeProblem(photo) {
  const row = Object.assign(document.createElement("li"), { className: "problem" });
  const text = document.createElement("p");
  text.append(document.createElement("b"), document.createElement("span"));
  row.append(
    text,
    makeButton("Try again", "again small", () => retry(photo)),
    makeButton("Remove", "plain small", () => remove(photo)),
  );
  row.querySelector(".again").setAttribute("aria-label", `Try again to send ${photo.name}`);
  row.querySelector(".plain").setAttribute("aria-label", `Remove ${photo.name}`);
  return row;
}

// Shows the files that were never sent, one sentence for each reason.
function renderRefused() {
  byId("refused").hidden = refusedFiles.length === 0;
  const sentences = Object.entries(REASONS).flatMap(([reason, [ofOne, ofSeveral]]) => {
    const names = refusedFiles.filter((file) => file.reason === reason).map(({ name }) => name);
    return names.length ? [[listed(names), names.length === 1 ? ofOne : ofSeveral]] : [];
  });
  byId("refused-text").replaceChildren(...sentences.map(([names, reason]) => {
    const sentence = document.createElement("p");
    sentence.append(Object.assign(document.createElement("b"), { textContent: names }), ` ${reason}`);
    return sentence;
  }));
}

function listed(names) {
  const others = names.length - NAMES;
  const parts = others > 1 ? [...names.slice(0, NAMES), `${others} others`] : names;
  return parts.length === 1 ? parts[0] : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

function makeButton(text, className, onclick) {
  return Object.assign(document.createElement("button"), { type: "button", textContent: text, className, onclick });
}

// The verdict in words. `labels` are the suggestions, best first; an empty list stands for all labels.
function verdict() {
  const { confirmation = null, label = null, needs_review: needsReview = false, predictions = [] } = listing ?? {};
  if (confirmation && isChoosing) {
    const advice = `Until you do, your answer stays: ${answerName(confirmation.label)}.`;
    return { title: "Choose another category", advice, labels: [] };
  }
  if (confirmation) return doneVerdict(confirmation);
  const pending = shown().filter(isPending).length;
  const still = pending ? "We are still looking at some photos." : "";
  if (!predictions.length && pending) return { title: "Looking at your photos …", advice: "This takes a moment." };
  if (!predictions.length) {
    const advice = "We cannot tell from these photos. Choose it, or add a photo of the whole piece.";
    return { title: "Which category fits?", advice, labels: [] };
  }
  const labels = predictions.slice(0, SUGGESTIONS).map((prediction) => prediction.label);
  if (needsReview) {
    const advice = still || "We cannot tell for certain. A photo of the whole piece helps.";
    return { title: "Which category fits best?", advice, labels };
  }
  const advice = still || "Press it to agree, or choose another.";
  return { title: `We suggest: ${categoryName(label)}`, advice, labels, suggested: label };
}

function doneVerdict({ label, by }) {
  const title = `${by === "shop" ? "The shop chose" : isComplete() ? "Done" : "Saved"}: ${answerName(label)}`;
  return { title, advice: doneAdvice(label), isDone: true };
}

function doneAdvice(label) {
  const unsent = shown().filter(isSending).length;
  if (unsent) return `Please keep this page open: ${counted(unsent)} still to send.`;
  if (!isComplete()) return "At least one photo is missing. Please add one.";
  return label === null ? "The shop finds a category for it." : "That is all. You can still add or remove photos.";
}

const isSlow = () => Date.now() - savingSince >= 1000 * SLOW_SECONDS;
const savingAdvice = () => (isSlow() ? "Not saved yet. Please keep this page open." : "Saving …");

const answerName = (label) => {
  if (label === NO_ANSWER) return "no category yet";
  return label === null ? "none of the categories" : categoryName(label);
};

let said = ["", ""]; // the verdict's title and advice

function renderCategory() {
  const isUseful = listing?.confirmation || shown().some((photo) => photo.isListed || isPending(photo));
  byId("category").hidden = !isUseful || model.labels.length === 0;
  if (byId("category").hidden) return;
  const { title, advice: usual, labels = null, suggested, isDone = false } = verdict();
  const advice = saving === undefined ? usual : savingAdvice();
  setText(byId("verdict"), title);
  setText(byId("advice"), advice);
  if (title !== said[0]) say(/[.?!…]$/.test(title) ? title : `${title}.`);
  if (title !== said[0] || advice !== said[1]) say(advice);
  said = [title, advice];
  const isEnd = isDone && isComplete() && saving === undefined;
  byId("category").classList.toggle("is-done", isEnd);
  byId("done-mark").hidden = !isEnd;
  byId("return").hidden = !isEnd || !link.return;
  byId("done").hidden = !isDone || shown().length === 0; // the API takes no answer about a listing without photos
  byId("undo-answer").hidden = !canUndo();
  if (canUndo()) byId("undo-answer").setAttribute("aria-label", `Undo: back to ${answerName(last.former)}`);
  if (isChoosing && listing.confirmation) setText(keep, `Keep ${answerName(listing.confirmation.label)}`);
  renderChips(labels, suggested);
}

const chips = new Map(); // by label; null stands for none of them
const more = makeButton("Something else", "chip more", () => showAll(byId("all").hidden));
const keep = makeButton("", "chip more", () => { isChoosing = false; render(); byId("verdict").focus(); });

function chip(label) {
  if (!chips.has(label)) {
    const text = label === null ? "None of these" : categoryName(label);
    chips.set(label, makeButton(text, "chip", () => answer(label)));
  }
  return chips.get(label);
}

// Without suggestions, all labels are there. null shows no chips.
function renderChips(labels, suggested) {
  const others = model.labels.filter((label) => !labels?.includes(label));
  others.sort((one, other) => categoryName(one).localeCompare(categoryName(other)));
  const first = labels?.length ? [...labels.map(chip), more] : [];
  const focused = document.activeElement;
  place(byId("chips"), first);
  place(byId("all"), labels ? [...others.map(chip), chip(null), ...(isChoosing ? [keep] : [])] : []);
  if (focused?.isConnected && focused !== document.activeElement) focused.focus();
  byId("chips").hidden = first.length === 0;
  if (labels && !labels.length) byId("all").hidden = false;
  else if (!labels) byId("all").hidden = true;
  more.setAttribute("aria-expanded", String(!byId("all").hidden));
  more.setAttribute("aria-controls", "all");
  for (const [label, button] of chips) {
    button.classList.toggle("suggested", label === suggested && suggested !== undefined);
    button.classList.toggle("saving", label === saving);
    if (isChoosing) button.setAttribute("aria-pressed", String(label === listing.confirmation?.label));
    else button.removeAttribute("aria-pressed");
    button.setAttribute("aria-disabled", String(saving !== undefined));
  }
}

function place(element, children) {
  const before = [...element.children];
  if (before.length !== children.length || before.some((child, index) => child !== children[index])) element.replaceChildren(...children);
}

function showAll(isShown) {
  byId("all").hidden = !isShown;
  more.setAttribute("aria-expanded", String(isShown));
  watchPlaces();
}

// The large view.

let enlarged = null;

function openLarge(photo) {
  enlarged = photo;
  renderLarge();
  if (byId("large").open) return;
  byId("large").showModal();
  holdTaps();
}

function renderLarge() {
  if (!enlarged) return;
  const current = inStrip();
  const index = current.indexOf(enlarged);
  if (index < 0) return byId("large").close();
  const holder = byId("large-picture");
  if (holder.dataset.of !== (enlarged.picture ?? enlarged.name)) {
    holder.dataset.of = enlarged.picture ?? enlarged.name;
    const image = Object.assign(new Image(), { alt: `Photo ${index + 1}, ${enlarged.name}`, src: enlarged.picture ?? "" });
    const hasFile = enlarged.file && enlarged.picture && !enlarged.needsThumbnail;
    if (hasFile) image.src = URL.createObjectURL(enlarged.file);
    image.onload = () => { if (hasFile) URL.revokeObjectURL(image.src); };
    image.onerror = () => { if (image.src !== enlarged?.picture && enlarged?.picture) image.src = enlarged.picture; };
    holder.replaceChildren(enlarged.picture ? image : "There is no picture of this file.");
  }
  const isCover = coverPhoto() === enlarged;
  setText(byId("large-name"), `Photo ${index + 1} of ${current.length}`);
  setText(byId("large-cover"), isCover ? "This is the cover" : "Make it the cover");
  const isLast = index === current.length - 1; // a button that is disabled for ARIA alone keeps the focus
  const disabled = { "large-cover": isCover || enlarged.state !== "ready", previous: index === 0, next: isLast };
  for (const [name, isDisabled] of Object.entries(disabled)) byId(name).setAttribute("aria-disabled", String(isDisabled));
  return undefined;
}

function step(difference) {
  const next = inStrip()[inStrip().indexOf(enlarged) + difference];
  if (next) openLarge(next);
}
