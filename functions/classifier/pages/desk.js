// What people do at the desk: answers, undo, selection, movement, keys, views and filters.
// `desk_requests.js` has the requests, `desk_outbox.js` the answers on their way, `desk_queue.js` the photos and their
// order, `desk_pictures.js` the pictures, and `desk_screen.js` what the desk shows.

const KEYS = "1234567890qwertyiopdfhjkzxcvbm"; // of the labels, in the model's order; not those of commands

let model = null;
let steps = []; // what Undo takes back

// Answers.

const targets = () => (selected.size ? shown.filter((entry) => selected.has(entry)) : [current].filter(Boolean));

// Answers with what `choose` returns of a photo: a label, null for none of these, undefined for no answer.
function answer(choose) {
  const chosen = targets().filter(isOpen).map((entry) => ({ entry, label: choose(entry.item) }));
  const changes = chosen.filter(({ label }) => label !== undefined);
  if (changes.length === 0) {
    if (current && !isOpen(current)) goOn();
    else if (current) notify("The model has no label for this photo. Choose one, or none of these.");
    return;
  }
  for (const { entry, label } of changes) {
    Object.assign(entry, { state: "answered", answer: label });
    count(entry.item.label, label, 1);
    postAnswer(entry, label);
  }
  say(changes.length === 1 ? nameOf(changes[0].label) : `${countedPhotos(changes.length)} answered`);
  finish({ kind: "answer", changes });
  sendMessages();
}

function skip() {
  const changes = targets().filter(isOpen).map((entry) => ({ entry }));
  for (const { entry } of changes) {
    entry.state = "skipped";
    session.skipped.push(versionOf(entry.item));
  }
  if (changes.length) finish({ kind: "skip", changes });
  else goOn();
}

function finish(step) {
  steps.push(step);
  selected.clear();
  saveSession();
  for (const { entry } of step.changes) paint(entry);
  goOn();
  showCounts();
}

// Goes to the next open photo, or to the next screen.
function goOn() {
  const place = shown.indexOf(current);
  const next = shown.slice(place + 1).find(isOpen) ?? shown.find(isOpen);
  if (next) setCurrent(next);
  else goToNextScreen();
}

function count(modelLabel, label, step) {
  session.answered += step;
  if (!modelLabel) return;
  session.judged += step;
  if (label === modelLabel) session.agreed += step;
}

function undo() {
  const step = steps.pop();
  if (!step) return;
  const changes = step.changes.filter(({ entry }) => entry.state !== "gone"); // answered by somebody else, or replaced
  for (const { entry, label } of changes) {
    if (step.kind === "answer") {
      count(entry.item.label, label, -1);
      postUndo(entry, label);
    } else {
      session.skipped = session.skipped.filter((version) => version !== versionOf(entry.item));
    }
    entry.state = "open";
    entry.settledAt = Date.now() + 1000 * SETTLED_SECONDS;
  }
  const reopened = changes.map(({ entry }) => entry);
  shown = [...reopened.filter((entry) => !shown.includes(entry)), ...shown];
  upcoming = null;
  saveSession();
  selected.clear();
  const target = reopened[0] ?? current;
  drawScreen();
  setCurrent(target);
  say(reopened.length ? `Taken back: ${countedPhotos(reopened.length)}` : "Nothing to take back");
  sendMessages();
}

function bringBack() {
  for (const entry of skippedEntries()) entry.state = "open";
  session.skipped = [];
  saveSession();
  goToNextScreen();
}

// Selection and movement.

function clickTile(entry, event) {
  if (!isOpen(entry)) return;
  if (event.shiftKey) selectRange(entry);
  else if (event.ctrlKey || event.metaKey || event.target.className === "mark") toggle(entry);
  else if (entry === current && selected.size === 0) openLarge();
  else selectNone();
  setCurrent(entry);
}

function toggle(entry) {
  if (!entry || !isOpen(entry)) return;
  if (!selected.delete(entry)) selected.add(entry);
  anchor = entry;
  paint(entry);
  showPanel();
}

function selectRange(end) {
  const from = shown.indexOf(anchor && shown.includes(anchor) ? anchor : current);
  const to = shown.indexOf(end);
  anchor = shown[from];
  select(shown.slice(Math.min(from, to), Math.max(from, to) + 1));
}

function select(wanted) {
  const before = [...selected];
  selected.clear();
  for (const entry of wanted) if (isOpen(entry)) selected.add(entry);
  for (const entry of new Set([...before, ...selected])) paint(entry);
  showPanel();
  if (selected.size) say(`${countedPhotos(selected.size)} selected`);
}

function selectNone() {
  anchor = null;
  select([]);
}

// Returns the nearest open photo in that direction: to the sides in reading order, up and down by rows.
function neighbour(key) {
  const place = shown.indexOf(current);
  if (key === "Home") return shown.find(isOpen);
  if (key === "End") return shown.findLast(isOpen);
  if (key === "ArrowRight") return shown.slice(place + 1).find(isOpen);
  if (key === "ArrowLeft") return shown.slice(0, Math.max(0, place)).findLast(isOpen);
  const columns = columnsOfGrid();
  const row = Math.floor(place / columns);
  const distance = (index) => Math.abs(Math.floor(index / columns) - row) * 100 + Math.abs((index % columns) - (place % columns));
  const isBeyond = (index) => (key === "ArrowDown" ? Math.floor(index / columns) > row : Math.floor(index / columns) < row);
  const candidates = shown.map((_, index) => index).filter((index) => isOpen(shown[index]) && isBeyond(index));
  return shown[candidates.sort((a, b) => distance(a) - distance(b))[0]];
}

function move(key, isExtending) {
  const target = neighbour(key);
  if (!target) return;
  if (isExtending) {
    anchor ??= current;
    selectRange(target);
  }
  setCurrent(target);
}

function openLarge() {
  if (!current) return;
  byId("zoom").showModal();
  byId("zoom").focus(); // not the button: keys are for the photo
  showPanel();
}

// Keys. They work in the grid, in the large picture, and where nothing has the focus.

const COMMANDS = {
  Enter: () => answer(({ label }) => label ?? undefined),
  n: () => answer(() => null),
  a: () => { if (view === "sellers") answer(({ confirmation }) => confirmation.label); },
  s: skip,
  u: undo,
  Backspace: undo,
  g: () => { if (current) select(shown.filter((entry) => listingOf(entry) === listingOf(current))); },
  l: () => (byId("zoom").open ? byId("zoom").close() : openLarge()),
  "?": () => byId("help").showModal(),
  " ": () => toggle(current),
};

function keyOf({ key, code }) { // a digit whatever the layout of the keyboard, also on the numeric pad
  return code.match(/^(?:Digit|Numpad)(\d)$/)?.[1] ?? (key.length === 1 ? key.toLowerCase() : key);
}

addEventListener("keydown", (event) => {
  const isInPlace = event.target === document.body || event.target.closest?.("#grid, #zoom");
  const isElsewhere = byId("ask").open || byId("help").open || event.target.closest?.("button");
  if (!isInPlace || isElsewhere || event.altKey || !model) return;
  const key = event.key === "?" ? "?" : keyOf(event);
  const action = event.ctrlKey || event.metaKey ? { a: () => select(shown), z: undo }[key] : keyAction(key, event.shiftKey);
  if (!action) return;
  event.preventDefault();
  if (!event.repeat || key.startsWith("Arrow")) action(); // a key that is held down answers once
});

function keyAction(key, isShifted) {
  if (/^(Arrow|Home|End)/.test(key)) return () => move(key, isShifted);
  if (key === "Escape") return byId("zoom").open ? undefined : selectNone;
  if (isShifted && key !== "?") return undefined;
  const label = model.labels[KEYS.indexOf(key)];
  return COMMANDS[key] ?? (key.length === 1 && label ? () => answer(() => label) : undefined);
}

// The view and its filters are in the address, so that a reload and a bookmark keep them.

const viewButtons = document.querySelectorAll("[data-view]");

function readAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  view = Object.hasOwn(VIEWS, wanted.get("view")) ? wanted.get("view") : "review";
  byId("label").value = model.labels.includes(wanted.get("label")) ? wanted.get("label") : "";
  byId("time").value = wanted.get("hours") ?? "";
  if (byId("time").selectedIndex < 0) byId("time").value = "";
}

function openView() {
  if (!model) { // `start` opens the view that the address names
    const address = new URLSearchParams(location.hash.slice(1));
    address.set("view", view);
    history.replaceState(null, "", `#${address}`);
    return;
  }
  for (const entry of entries.values()) forgetPicture(entry);
  visit += 1;
  [entries, shown, upcoming, current, anchor, steps] = [new Map(), [], null, null, null, []];
  [cursor, isLoading, checked] = [undefined, false, FROM_THE_TOP];
  selected.clear();
  const address = new URLSearchParams({ view, label: byId("label").value, hours: byId("time").value });
  history.replaceState(null, "", `#${address}`);
  for (const button of viewButtons) button.setAttribute("aria-pressed", button.dataset.view === view);
  byId("grid").replaceChildren();
  load();
}

function removeFilters() {
  byId("label").value = "";
  byId("time").value = "";
  openView();
}

// After a choice with the mouse, keys are for the photos again. People who choose by keyboard stay where they are.
let isPointing = false;
addEventListener("pointerdown", () => { isPointing = true; }, true);
addEventListener("keydown", () => { isPointing = false; }, true);
for (const button of viewButtons) {
  button.onclick = () => {
    view = button.dataset.view;
    if (isPointing) button.blur();
    openView();
  };
}
for (const id of ["label", "time"]) {
  byId(id).onchange = () => {
    if (isPointing) byId(id).blur();
    openView();
  };
}
addEventListener("hashchange", () => {
  if (!model) return; // `start` reads the address
  readAddress();
  openView();
});

// The buttons of the panel, and the dialogs.

for (const [id, action] of Object.entries({
  accept: COMMANDS.Enter, agree: COMMANDS.a, none: COMMANDS.n, skip, undo,
})) {
  byId(id).onclick = () => {
    action();
    focusCurrent();
  };
}
byId("keys").onclick = COMMANDS["?"];
byId("zoom").onclick = () => byId("zoom").close();
for (const id of ["zoom", "help"]) byId(id).onclose = focusCurrent;

async function start() {
  model = (await request("list", "GET", "/model", isModel)).content;
  byId("labels").replaceChildren(...model.labels.map(makeLabelButton));
  byId("label").append(...model.labels.map((label) => new Option(nameOf(label), label)));
  readAddress();
  sendMessages();
  await findColleagues();
  if (visit === 0) openView(); // else somebody has chosen a view meanwhile
  setInterval(() => { sendMessages(); check(); }, 1000 * CHECK_SECONDS);
  setInterval(() => { if (session.outbox.length) showCounts(); }, 1000);
  document.onvisibilitychange = check;
}

start();
