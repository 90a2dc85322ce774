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
  entry.picture = {};
  picturesOnTheWay += 1;
  const { status, content } = await request("pictures", "GET", `/thumbnails/${encodeId(entry.item.id)}`, { tries: 3 });
  picturesOnTheWay -= 1;
  entry.picture = status === 200 ? { url: URL.createObjectURL(content) } : { isFailed: true };
  if (status === 404 && isOpen(entry)) setGone(entry, "Removed");
  paint(entry);
  if (entry === current) showPanel();
  fetchPictures();
}

// Frees the pictures that are neither on this screen nor on the next, and that Undo does not need soon.
function forgetPictures() {
  const recent = steps.slice(-MAX_SCREEN).flatMap(({ changes }) => changes.map(({ entry }) => entry));
  const kept = new Set([...shown, ...upcomingEntries(), ...recent]);
  for (const entry of entries.values()) if (entry.picture?.url && !kept.has(entry)) forgetPicture(entry);
}

function forgetPicture(entry) {
  if (entry.picture?.url) URL.revokeObjectURL(entry.picture.url);
  entry.picture = null;
  entry.node = null;
}
