// The re-roll manifest: marked jobs once more, each with a new id and, where its model has one, a new seed.

const LONGEST_ID = 128;

/** JSONL for `pipeline validate` and `run`; how many jobs it has, how many have no seed, and how many were left out. */
function rerollManifest(jobs, knownIds, takes) {
  const taken = new Set(knownIds);
  const whole = jobs.filter((job) => !job.cut);
  const lines = whole.map((job) => JSON.stringify(rerolled(job, taken, takes)));
  const seedless = whole.filter((job) => !job.seeds).length;
  return { text: lines.map((line) => `${line}\n`).join(""), written: lines.length, seedless, skipped: jobs.length - whole.length };
}

function rerolled(job, taken, takes) {
  const base = job.id.replace(/-r[1-9]\d{0,5}$/, "");
  let number = (own(takes, base) ?? 1) + 1;
  while (taken.has(idOf(base, number))) number += 1;
  taken.add(idOf(base, number));
  const request = structuredClone({ input: job.input ?? {}, parameters: job.parameters ?? {} });
  for (const [field, path] of job.media ?? []) put(request, field.split("."), path);
  if (job.seeds) request.parameters.seed = anotherSeed(job.seeds, request.parameters.seed);
  const made = { id: idOf(base, number), model: job.model, ...request };
  if (holdsBrace(request.input)) {
    // A text with braces could be taken for a template. In a job with a matrix every text is one, so that doubled
    // braces are surely read as the braces they were.
    made.id = `${idOf(base, number).slice(0, -String(number).length)}{take_number}`;
    made.matrix = { take_number: [number] };
    made.input = escaped(request.input);
  }
  if (!isEmpty(job.metadata)) made.metadata = job.metadata;
  const output = outputOf(job, number);
  if (output) made.output = output;
  return made;
}

const idOf = (base, number) => `${base.slice(0, LONGEST_ID - `-r${number}`.length)}-r${number}`;

/** The same place as before, with the number in its name; nothing where the name came from the id. */
function outputOf(job, number) {
  if (!job.output || job.output === `${job.id}.mp4`) return null;
  const [, stem, suffix] = job.output.match(/^(.*?)(\.[^./]+)?$/s);
  const renamed = `${stem.replace(/-r[1-9]\d{0,5}$/, "")}-r${number}${suffix ?? ""}`;
  return new TextEncoder().encode(renamed.split("/").at(-1)).length > 200 ? null : renamed.replace(/[{}]/g, "$&$&");
}

function put(request, path, value) {
  const last = path.pop();
  const holder = path.reduce((within, name) => within?.[name], request);
  if (!holder) return;
  const before = holder[last];
  holder[last] = typeof before === "string" || before === undefined ? value : before;
}

function anotherSeed([low, high], before) {
  const numbers = crypto.getRandomValues(new Uint32Array(2));
  const seed = low + ((numbers[0] * 2 ** 21 + (numbers[1] >>> 11)) % (high - low + 1));
  if (seed !== before) return seed;
  return seed < high ? seed + 1 : low;
}

function holdsBrace(value) {
  if (typeof value === "string") return /[{}]/.test(value);
  return typeof value === "object" && value !== null && Object.values(value).some(holdsBrace);
}

function escaped(value) {
  if (typeof value === "string") return value.replace(/[{}]/g, "$&$&");
  if (Array.isArray(value)) return value.map(escaped);
  if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, escaped(item)]));
  return value;
}

/** Hands a text to the browser as a file to keep. */
function download(name, text) {
  const link = make("a", "", [], { href: URL.createObjectURL(new Blob([text], { type: "application/jsonl" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
