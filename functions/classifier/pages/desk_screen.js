// What the desk shows: the grid of photos, the panel of the current photo, counts and notices.

const MAX_SCREEN = 60; // photos on the screen
const TEXT_PIXELS = 50; // height of the text below a photo
const HEADER_PIXELS = 100;
const NOTICE_SECONDS = 8;
const WORTH_A_LOOK = 0.05; // lower scores of other labels are not worth a look
const AGREEMENT = "agree with the model";

let shown = []; // the photos on the screen
let current = null;
let anchor = null; // where a selection with Shift begins
const selected = new Set();

const nameOf = (label) => (label === null ? "None of these"
  : model.categories[label]?.name ?? label[0].toUpperCase() + label.slice(1));
const percent = (share) => `${Math.floor(100 * share)}\u202f%`;
const countedPhotos = (number) => `${number} photo${number === 1 ? "" : "s"}`;
const say = (text) => { byId("said").textContent = text; };
let noticeTimer = 0;

function notify(text) {
  byId("notice").textContent = text;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { byId("notice").textContent = ""; }, 1000 * NOTICE_SECONDS);
}

// The grid.

const columnsOfGrid = () => getComputedStyle(byId("grid")).gridTemplateColumns.split(" ").length;

function screenSize() {
  const columns = columnsOfGrid();
  const width = byId("grid").clientWidth / columns;
  const isNarrow = matchMedia("(max-width: 56rem)").matches;
  const rows = Math.max(isNarrow ? 6 : 3, Math.floor((innerHeight - HEADER_PIXELS) / (width + TEXT_PIXELS)));
  return Math.min(MAX_SCREEN, columns * rows);
}

// Shows the next screen, and loads more photos in time.
function goToNextScreen() {
  drawNextScreen();
  if (cursor !== null && openEntries().length < FEW) load();
}

function drawNextScreen() {
  byId("grid").hidden = false;
  shown = [];
  shown = upcomingEntries();
  upcoming = null;
  current = shown[0] ?? null;
  selected.clear();
  scrollTo(0, 0);
  drawScreen();
  forgetPictures();
}

function drawScreen() {
  const counts = new Map();
  for (const entry of shown) counts.set(listingOf(entry), (counts.get(listingOf(entry)) ?? 0) + 1);
  const seen = new Map();
  shown.forEach((entry, index) => {
    entry.node ??= makeTile(entry);
    const total = counts.get(listingOf(entry));
    const part = (seen.get(listingOf(entry)) ?? 0) + 1;
    seen.set(listingOf(entry), part);
    entry.part = total > 1 ? `${part} of ${total}` : "";
    entry.node.classList.toggle("listing", total > 1);
    entry.node.classList.toggle("next", index > 0 && listingOf(shown[index - 1]) === listingOf(entry));
    paint(entry);
  });
  byId("grid").replaceChildren(...shown.map((entry) => entry.node));
  showState();
  setCurrent(current);
  showCounts();
  fetchPictures();
}

function makeTile(entry) {
  const node = byId("tile").content.firstElementChild.cloneNode(true);
  node.onclick = (event) => clickTile(entry, event);
  return node;
}

function paint(entry) {
  const { node, item, state } = entry;
  if (!node) return;
  const [best] = item.predictions;
  const [label, score] = node.querySelectorAll(".verdict span");
  const isDone = state !== "open";
  node.classList.toggle("done", isDone);
  node.classList.toggle("gone", state === "gone" || state === "skipped");
  node.setAttribute("aria-selected", selected.has(entry));
  node.setAttribute("aria-disabled", isDone);
  label.textContent = isDone ? outcome(entry) : best ? nameOf(best.label) : "No label";
  score.textContent = isDone || !best ? "" : percent(best.score);
  node.querySelector(".also").textContent = isDone ? "\u00a0" : alternative(item);
  node.querySelector(".part").textContent = entry.part;
  node.querySelector(".part").hidden = isDone || !entry.part;
  node.setAttribute("aria-label", describe(entry));
  showPicture(entry, node.querySelector(".well"));
}

function outcome({ state, answer, reason }) {
  if (state === "gone") return reason;
  return state === "answered" ? `✓ ${nameOf(answer)}` : "Skipped";
}

// Returns what else the photo may show.
function alternative(item) {
  const second = item.predictions[1];
  if (view === "sellers") return `Seller: ${nameOf(item.confirmation.label)}`;
  if (view === "nopicture") return item.id; // the only way to tell what this is about
  if (second) return second.score >= WORTH_A_LOOK ? `or ${nameOf(second.label)} ${percent(second.score)}` : "\u00a0";
  return "Not classified";
}

function describe(entry) {
  const { item, state, part } = entry;
  if (state !== "open") return outcome(entry);
  const sure = item.label ? `${nameOf(item.label)}, ${percent(item.confidence)} sure` : item.error?.message;
  return [sure, alternative(item).trim(), part && `photo ${part} of its listing`].filter(Boolean).join(", ");
}

function showPicture(entry, well) {
  if (entry.state === "gone" || !entry.picture?.url) {
    const text = document.createElement("span");
    text.textContent = entry.state === "gone" ? "" : pictureText(entry);
    well.replaceChildren(text);
  } else if (well.firstChild?.src !== entry.picture.url) {
    const image = new Image();
    image.src = entry.picture.url;
    image.alt = well.closest(".tile") ? "" : `The photo ${entry.item.id}`;
    well.replaceChildren(image);
  }
}

function pictureText({ item, picture }) {
  if (hasPicture(item)) return picture?.isFailed ? "The picture could not be made." : "";
  return item.error?.message ?? "The photo came with a request, and was not kept.";
}

// Says why there are no photos, and what to do then.
function showState() {
  const isEmpty = shown.length === 0;
  byId("state").hidden = !isEmpty;
  byId("grid").hidden = isEmpty;
  byId("panel").hidden = isEmpty && steps.length === 0;
  if (!isEmpty) return;
  const number = skippedEntries().length;
  const offers = [
    number > 0 && [`Show ${countedPhotos(number)} that you skipped`, bringBack],
    !isLoading && cursor && ["Look at older photos", load],
    !isLoading && hasFilters() && ["Remove the filters", removeFilters],
  ].filter(Boolean);
  const texts = [emptyText(), ...offers.map(([text]) => text)];
  if (String([...byId("state").children].map(({ textContent }) => textContent)) === String(texts)) return; // keeps the focus
  const text = document.createElement("p");
  [text.textContent] = texts;
  byId("state").replaceChildren(text, ...offers.map((offer) => makeButton(...offer)));
  say(text.textContent);
}

const skippedEntries = () => [...entries.values()].filter(({ state, item }) => state === "skipped" && VIEWS[view].shows(item));

function emptyText() {
  if (isLoading || cursor === undefined) return "Loading …";
  if (cursor) return "Nothing was found among the newest photos.";
  return `${hasFilters() ? "No photo fits these filters." : VIEWS[view].empty} New photos appear here by themselves.`;
}

function makeButton(text, action) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.onclick = action;
  return button;
}

// The current photo, and the panel.

function setCurrent(entry) {
  const last = current;
  current = entry;
  for (const one of [last, entry]) {
    if (!one?.node) continue;
    one.node.classList.toggle("current", one === entry);
    one.node.tabIndex = one === entry ? 0 : -1;
  }
  focusCurrent();
  showPanel();
}

function focusCurrent() {
  const focused = document.activeElement;
  const isBusy = document.querySelector("dialog[open]") || focused?.closest("header");
  if (!current?.node?.isConnected || isBusy) return;
  current.node.focus({ preventScroll: true });
  current.node.scrollIntoView({ block: "nearest" });
}

function makeLabelButton(label, index) {
  const button = makeButton("", () => answer(() => label));
  button.dataset.label = label;
  const key = document.createElement("kbd");
  key.textContent = KEYS[index]?.toUpperCase() ?? "";
  const [name, score, bar] = ["", "score", "bar"].map((className) => {
    const span = document.createElement("span");
    span.className = className;
    return span;
  });
  name.textContent = nameOf(label);
  button.append(key, name, score, bar);
  return button;
}

function showPanel() {
  const item = current && isOpen(current) ? current.item : null;
  const scores = new Map(item?.predictions.map(({ label, score }) => [label, score]));
  for (const button of byId("labels").children) {
    const { label } = button.dataset;
    button.classList.toggle("model", item?.label === label);
    button.classList.toggle("seller", view === "sellers" && item?.confirmation?.label === label);
    button.querySelector(".score").textContent = scores.has(label) ? percent(scores.get(label)) : "";
    const score = scores.get(label) ?? 0;
    button.style.setProperty("--score", score < WORTH_A_LOOK ? 0 : 100 * score);
  }
  for (const id of ["large", "about", "labels"]) byId(id).hidden = !current;
  for (const id of ["agree", "none", "skip"]) byId(id).disabled = !current;
  byId("accept").disabled = !current || (selected.size === 0 && !item?.label);
  byId("accept").firstChild.textContent = view === "sellers" ? "Model is right " : `Accept ${selected.size || ""} `;
  byId("agree").hidden = view !== "sellers";
  byId("undo").disabled = steps.length === 0;
  if (!current) return;
  byId("remark").textContent = remark(current);
  byId("which").textContent = byId("which").title = which(current.item);
  showPicture(current, byId("large"));
  showPicture(current, byId("zoom").querySelector(".well"));
}

function remark({ item, state, reason }) {
  if (selected.size) return `${countedPhotos(selected.size)} selected. Enter accepts each label.`;
  if (state === "gone") return reason;
  if (view === "sellers") return `The seller says: ${nameOf(item.confirmation.label)}.`;
  return "";
}

function which({ id, created_at }) {
  return `${id} · ${new Date(created_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`;
}

function showCounts() {
  const left = openEntries().filter(({ item }) => isWanted(item)).length;
  const pictureless = [...entries.values()].filter((entry) => isOpen(entry) && !hasPicture(entry.item)).length;
  const unsent = session.outbox.filter(({ postedAt }) => Date.now() - postedAt > 1500).length;
  const more = cursor === null ? "" : "+";
  const parts = [
    [`${left.toLocaleString()}${more}`, "left"], [session.answered.toLocaleString(), "answered"],
    ...(session.judged ? [[percent(session.agreed / session.judged), AGREEMENT]] : []),
    ...(unsent ? [[unsent, "not sent yet"]] : []),
  ];
  byId("counts").replaceChildren(...parts.map(([number, text], index) => {
    const [part, strong] = ["span", "strong"].map((tag) => document.createElement(tag));
    if (text === AGREEMENT) part.className = "agreement";
    strong.textContent = number;
    part.append(index ? " · " : "", strong, ` ${text}`);
    return part;
  }));
  const button = document.querySelector('[data-view="nopicture"]');
  if (view !== "sellers") button.textContent = pictureless ? `No picture (${pictureless})` : "No picture";
  byId("progress").value = session.answered / Math.max(1, session.answered + left);
  document.title = left ? `${left}${more} · Review desk` : "Review desk";
}
