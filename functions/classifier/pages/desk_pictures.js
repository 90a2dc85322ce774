// Pictures: a few at a time, the current one first, then those of this screen and of the next.

const PARALLEL_PICTURES = 4;
let picturesOnTheWay = 0;

function fetchPictures() {
  while (picturesOnTheWay < PARALLEL_PICTURES) {
    const needsPicture = (entry) => entry && !entry.picture && hasPicture(entry.item) && isOpen(entry);
    const entry = [current, ...shown].find(needsPicture) ?? upcomingEntries().find(needsPicture);
    if (!entry) return;
    fetchPicture(entry);
  }
}

async function fetchPicture(entry) {
  const picture = {};
  entry.picture = picture;
  picturesOnTheWay += 1;
  try {
    const answer = await request("pictures", "GET", `/thumbnails/${encodeId(entry.item.id)}`, isPicture, { tries: 3 });
    if (entry.picture === picture) setPicture(entry, answer); // else it is not needed any more
  } finally {
    picturesOnTheWay -= 1;
  }
  fetchPictures();
}

function setPicture(entry, { status, content }) {
  entry.picture = status === 200 ? { url: URL.createObjectURL(content) } : { isFailed: true };
  if (status === 404 && isOpen(entry)) setGone(entry, "Removed");
  paint(entry);
  if (entry === current) showPanel();
}

// Frees the pictures that are neither on this screen nor on the next, and that Undo does not need soon.
function forgetPictures() {
  const recent = steps.slice(-MAX_SCREEN).flatMap(({ changes }) => changes.map(({ entry }) => entry));
  const kept = new Set([...shown, ...upcomingEntries(), ...recent]);
  for (const entry of entries.values()) {
    if (!entry.picture?.url || kept.has(entry)) continue;
    forgetPicture(entry);
    entry.node = null;
  }
}

function forgetPicture(entry) {
  if (entry.picture?.url) URL.revokeObjectURL(entry.picture.url);
  entry.picture = null;
}
