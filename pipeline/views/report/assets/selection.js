// Which jobs are shown, in which order. Nothing here touches the page.

const ORDER_OF_STATES = ["failed", "unknown", "submitting", "running", "fetching", "queued", "done"];
const COLLATOR = new Intl.Collator("en", { numeric: true });

/** The sum of the known parts of a job's time, in seconds; null where none is known. */
const took = (job) => (job.times.some((part) => part !== null) ? job.times.reduce((sum, part) => sum + (part ?? 0), 0) : null);

const KEYS = {
  seq: (job) => job.seq,
  moved: (job) => (job.state === "queued" ? null : job.moved),
  took,
  cost: (job) => (job.cost ? Number(job.cost[0]) : null),
  state: (job) => ORDER_OF_STATES.indexOf(job.state),
};

/** The text that a job asks for, whatever its model calls it. */
function promptOf(job) {
  const input = job.input ?? {};
  if (typeof input.prompt === "string") return input.prompt;
  if (typeof input.text === "string") return input.text;
  const parts = Array.isArray(input.content) ? input.content : [];
  return parts.map((part) => (typeof part?.text === "string" ? part.text : "")).filter(Boolean).join(" ");
}

/** Everything that a search looks into. */
function haystackOf(job) {
  job.haystack ??= [job.id, promptOf(job), job.model, shown(job.parameters ?? {}), shown(job.metadata ?? {}), ...(job.failure ?? [])].join("\n").toLowerCase();
  return job.haystack;
}

/** The jobs that a wish lets through, sorted as it says. */
function selected(jobs, wish) {
  const words = wish.search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = jobs.filter((job) =>
    (wish.states.size === 0 || wish.states.has(job.state) || (wish.states.has("marked") && wish.marks.has(job.id)))
    && (!wish.model || job.model === wish.model)
    && (!wish.metaKey || matchesMeta(job, wish))
    && (words.length === 0 || words.every((word) => haystackOf(job).includes(word))));
  const down = wish.descending ? -1 : 1;
  const key = KEYS[wish.sort];
  if (!key) return found.sort((a, b) => down * COLLATOR.compare(a.id, b.id));
  return found.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === y || (x === null && y === null)) return a.seq - b.seq;
    if (x === null || y === null) return x === null ? 1 : -1; // what is not known comes last either way
    return down * (x - y);
  });
}

function matchesMeta(job, { metaKey, metaValue }) {
  const value = own(job.metadata, metaKey);
  return value !== undefined && (!metaValue || shown(value).toLowerCase().includes(metaValue.toLowerCase()));
}
