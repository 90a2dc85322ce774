// What the page shows of the photos and of the category.

const SUGGESTIONS = 3;
const STEADY_MILLISECONDS = 500; // a suggestion that has just moved takes no taps for this long

const byId = (id) => document.getElementById(id);
const categoryName = (label) => model.categories[label]?.name ?? label.replace(/^./, (letter) => letter.toUpperCase());
const counted = (number) => (number === 1 ? "1 photo" : `${number} photos`);

let sayings = [];

// Tells it to screen readers, together with what else happens at that time.
function say(text) {
  if (!sayings.length) setTimeout(() => { byId("live").textContent = [...new Set(sayings)].join(" "); sayings = []; }, 300);
  sayings.push(text);
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
  renderCategory();
  renderLarge();
  byId("share").hidden = !link.token;
  byId("removed").hidden = !removal;
  if (link.token) {
    const cover = coverPhoto();
    if (cover?.id) link.cover = nameOf(cover.id);
    saveLink(photos.filter(({ id }) => id).map(({ id }) => nameOf(id)));
  }
  if (listing) tell();
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
  setText(byId("choose"), current.length ? "Add" : "Add photos");
  byId("choose").setAttribute("aria-label", "Add photos");
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
  const row = document.createElement("li");
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
  const still = pending ? `We are still looking at ${counted(pending)}.` : "";
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
  const advice = still || "Tap it to agree, or choose another.";
  return { title: `We suggest: ${categoryName(label)}`, advice, labels, suggested: label };
}

function doneVerdict({ label, by }) {
  const unsent = shown().filter(isSending).length;
  if (unsent) {
    const advice = `Please keep this page open: ${counted(unsent)} still to send.`;
    return { title: `Saved: ${answerName(label)}`, advice, isDone: true };
  }
  const title = `${by === "shop" ? "The shop chose" : "Done"}: ${answerName(label)}`;
  const advice = label === null ? "The shop finds a category for it." : "That is all. You can still add or remove photos.";
  return { title, advice, isDone: true };
}

const answerName = (label) => {
  if (label === NO_ANSWER) return "no category yet";
  return label === null ? "none of the categories" : categoryName(label);
};

let saidTitle = "";

function renderCategory() {
  const isUseful = listing?.confirmation || shown().some((photo) => photo.isListed || isPending(photo));
  byId("category").hidden = !isUseful || model.labels.length === 0;
  if (byId("category").hidden) return;
  const { title, advice, labels = null, suggested, isDone = false } = verdict();
  setText(byId("verdict"), title);
  setText(byId("advice"), advice);
  if (title !== saidTitle) say(`${title.replace(/ …$/, "")}. ${advice}`);
  saidTitle = title;
  byId("category").classList.toggle("is-done", isDone);
  byId("done").hidden = !isDone;
  byId("done-mark").hidden = !isDone || shown().some(isSending);
  byId("undo-answer").hidden = former === undefined || former === listing.confirmation?.label;
  if (former !== undefined) byId("undo-answer").setAttribute("aria-label", `Undo: back to ${answerName(former)}`);
  if (isChoosing && listing.confirmation) setText(keep, `Keep ${answerName(listing.confirmation.label)}`);
  renderChips(labels, suggested);
}

const chips = new Map(); // by label; null stands for none of them
const more = makeButton("Something else", "chip more", () => showAll(byId("all").hidden));
const keep = makeButton("", "chip more", () => { isChoosing = false; render(); byId("verdict").focus(); });
let movedAt = 0;

function chip(label) {
  if (!chips.has(label)) {
    const text = label === null ? "None of these" : categoryName(label);
    chips.set(label, makeButton(text, "chip", ({ detail }) => {
      const isByPointer = detail > 0; // the keyboard's focus moves with its button
      if (!isByPointer || Date.now() - movedAt > STEADY_MILLISECONDS) answer(label);
    }));
  }
  return chips.get(label);
}

// Without suggestions, all labels are there. null shows no chips.
function renderChips(labels, suggested) {
  const others = model.labels.filter((label) => !labels?.includes(label));
  others.sort((one, other) => categoryName(one).localeCompare(categoryName(other)));
  const first = labels?.length ? [...labels.map(chip), more] : [];
  const focused = document.activeElement;
  const isMoved = place(byId("chips"), first);
  place(byId("all"), labels ? [...others.map(chip), chip(null), ...(isChoosing ? [keep] : [])] : []);
  if (isMoved && labels?.length) movedAt = Date.now();
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

// Puts these children into the element. Returns whether one that was there has moved.
function place(element, children) {
  const before = [...element.children];
  if (before.length === children.length && before.every((child, index) => child === children[index])) return false;
  element.replaceChildren(...children);
  return before.some((child, index) => children[index] !== child);
}

function showAll(isShown) {
  byId("all").hidden = !isShown;
  more.setAttribute("aria-expanded", String(isShown));
}

// The large view.

let enlarged = null;

function openLarge(photo) {
  enlarged = photo;
  renderLarge();
  if (!byId("large").open) byId("large").showModal();
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
  setText(byId("large-name"), `Photo ${index + 1} of ${current.length}${isCover ? ", the cover" : ""}`);
  byId("large-cover").hidden = isCover || enlarged.state !== "ready";
  byId("previous").disabled = index === 0;
  byId("next").disabled = index === current.length - 1;
  return undefined;
}

function step(difference) {
  const next = inStrip()[inStrip().indexOf(enlarged) + difference];
  if (next) openLarge(next);
}
