// Puts the parts together: the data, the filters, the keys.

const batch = JSON.parse($("batch").textContent);
const jobs = new Map(JSON.parse($("job-data").textContent).map((job) => [job.id, job]));
$("job-data").remove(); // the text is no longer needed, and is most of the page

const marks = new Set(JSON.parse(memory.get(`marks ${batch.key}`) ?? "[]"));
const wish = { search: "", states: new Set(), model: "", metaKey: "", metaValue: "", sort: "seq", descending: false, marks };
const isMarked = (job) => marks.has(job.id);

const charts = new Charts();
const lightbox = new Lightbox({ jobs: () => gallery.jobs, mark: toggleMark, isMarked, closed: comeBack, batch: () => batch });
const gallery = new Gallery({ open: (place) => lightbox.open(place), mark: toggleMark, isMarked });

/** Goes to the job that was looked at last. The dialog tells a moment late that it is closed: who types by then stays there. */
function comeBack(place) {
  if (!document.activeElement?.closest("input, select, textarea, dialog")) gallery.goTo(place);
}

// -- what is shown

function refresh() {
  const found = selected([...jobs.values()], wish);
  gallery.show(found);
  lightbox.refresh();
  const all = jobs.size;
  $("count").textContent = found.length === all ? count(all) : `${count(found.length)} of ${count(all)}`;
  $("empty").hidden = found.length > 0;
  $("empty").textContent = all ? "No job matches. Press Escape in the search, or take a filter away." : "No jobs yet.";
}

function refreshFilters() {
  const present = new Map();
  const models = new Set();
  const keys = new Set();
  for (const job of jobs.values()) {
    present.set(job.state, (present.get(job.state) ?? 0) + 1);
    models.add(job.model);
    for (const key of Object.keys(job.metadata ?? {})) if (keys.size < 500) keys.add(key);
  }
  const chips = Object.keys(STATES).filter((state) => present.has(state)).map((state) => [state, STATES[state], present.get(state)]);
  if (marks.size) chips.push(["marked", "Marked", marks.size]);
  for (const state of [...wish.states]) if (!chips.some(([name]) => name === state)) wish.states.delete(state);
  const focused = document.activeElement?.dataset?.state;
  $("states").replaceChildren(...chips.map(([state, label, number]) => {
    const chip = make("button", `chip is-${state}`, [make("i"), label, make("span", "", count(number))], { type: "button", "aria-pressed": wish.states.has(state), "data-state": state });
    chip.addEventListener("click", () => {
      if (!wish.states.delete(state)) wish.states.add(state);
      chip.setAttribute("aria-pressed", wish.states.has(state));
      refresh();
    });
    return chip;
  }));
  if (focused) $("states").querySelector(`[data-state="${focused}"]`)?.focus();
  offer($("model"), "All models", [...models].sort());
  offer($("meta-key"), "Any metadata", [...keys].sort(COLLATOR.compare));
  $("model").parentElement.hidden = models.size < 2;
  $("meta-key").parentElement.hidden = keys.size === 0;
}

/** Fills a choice anew, unless it offers the same already. */
function offer(select, everything, values) {
  const offered = JSON.stringify(values);
  if (select.offered === offered) return;
  select.offered = offered;
  const chosen = select.value;
  select.replaceChildren(make("option", "", everything, { value: "" }), ...values.map((value) => make("option", "", value, { value })));
  select.value = values.includes(chosen) ? chosen : "";
}

function offerMetaValues() {
  const values = new Set();
  for (const job of jobs.values()) {
    const value = own(job.metadata, wish.metaKey);
    if (value !== undefined && values.size < 200) values.add(shown(value));
  }
  $("meta-values").replaceChildren(...[...values].sort(COLLATOR.compare).map((value) => make("option", "", [], { value })));
}

function onInput(id, take) {
  $(id).addEventListener("input", () => {
    take($(id).value);
    refresh();
  });
}

onInput("search", (value) => { wish.search = value; });
onInput("model", (value) => { wish.model = value; });
onInput("sort", (value) => { wish.sort = value; });
onInput("meta-value", (value) => { wish.metaValue = value; });
onInput("meta-key", (value) => {
  wish.metaKey = value;
  wish.metaValue = $("meta-value").value = "";
  $("meta-value-field").hidden = !value;
  offerMetaValues();
});
$("direction").addEventListener("click", () => {
  wish.descending = !wish.descending;
  $("direction").setAttribute("aria-pressed", wish.descending);
  refresh();
});
$("more").addEventListener("click", () => {
  const open = $("filters").classList.toggle("open");
  $("more").setAttribute("aria-expanded", open);
});

// -- marks

function toggleMark(job) {
  if (!marks.delete(job.id)) marks.add(job.id);
  marksChanged();
}

function marksChanged() {
  memory.set(`marks ${batch.key}`, JSON.stringify([...marks]));
  gallery.showMarks();
  lightbox.showMark();
  showTray("");
  refreshFilters();
  if (wish.states.has("marked")) refresh();
}

function markedJobs() {
  return [...jobs.values()].filter(isMarked);
}

let exported = ""; // what was said of the last export, until the marks are others

function showTray(said = exported) {
  exported = said;
  const chosen = markedJobs();
  $("tray").hidden = chosen.length === 0;
  const cut = chosen.filter((job) => job.cut).length;
  $("marked").textContent = said || `${many(chosen.length, "job")} marked${cut ? `, ${count(cut)} too large to export` : ""}`;
}

$("mark-shown").addEventListener("click", () => {
  for (const job of gallery.jobs) marks.add(job.id);
  marksChanged();
});
$("unmark").addEventListener("click", () => {
  marks.clear();
  marksChanged();
});
$("export").addEventListener("click", () => {
  const { text, written, seedless, skipped } = rerollManifest(markedJobs(), jobs.keys(), batch.takes);
  if (!written) return showTray("too large to export; write their re-roll by hand");
  const name = `${batch.name.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[.-]+/, "") || "batch"}-reroll.jsonl`;
  download(name, text);
  const notes = [seedless && `${count(seedless)} with the service's own seed`, skipped && `${count(skipped)} left out`].filter(Boolean);
  return showTray([`${name}: ${many(written, "job")}`, ...notes].join(", "));
});

// -- keys

const STEPS = { ArrowLeft: -1, ArrowRight: 1, k: -1, j: 1 };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const within = event.target.closest?.("input, select, textarea");
  if (within) leaveField(event, within);
  else if ($("help").open) return;
  else if (lightbox.isOpen ? lightboxKey(event) : pageKey(event)) event.preventDefault();
});

function leaveField(event, field) {
  if (event.key !== "Escape") return;
  if (field.id === "search" && field.value) {
    field.value = wish.search = "";
    refresh();
  } else field.blur();
  event.preventDefault();
}

function lightboxKey(event) {
  const onControl = event.target.closest("button, a, video");
  if (event.key in STEPS && !event.target.closest("video")) lightbox.go(STEPS[event.key]);
  else if (event.key === "m") toggleMark(lightbox.job);
  else if (event.key === " " && !onControl) lightbox.toggle();
  else if (event.key === "?") $("help").showModal();
  else return false;
  return true;
}

function pageKey(event) {
  const steps = { ...STEPS, ArrowUp: -gallery.columns, ArrowDown: gallery.columns };
  const onButton = event.target.closest("button, a");
  const job = gallery.jobs[gallery.current];
  if (event.key === "/") $("search").focus();
  else if (event.key === "?") $("help").showModal();
  else if (event.key === "j" || event.key === "k" || (event.key in steps && gallery.hasFocus)) gallery.goTo(gallery.hasFocus ? gallery.current + steps[event.key] : gallery.current);
  else if (event.key === "Home" && gallery.hasFocus) gallery.goTo(0);
  else if (event.key === "End" && gallery.hasFocus) gallery.goTo(gallery.jobs.length - 1);
  else if (!gallery.hasFocus || onButton || !job) return false;
  else if (event.key === "Enter") lightbox.open(gallery.current);
  else if (event.key === " ") gallery.toggle();
  else if (event.key === "m") toggleMark(job);
  else return false;
  return true;
}

$("help-open").addEventListener("click", () => $("help").showModal());
$("help-close").addEventListener("click", () => $("help").close());
$("help").addEventListener("click", (event) => event.target === $("help") && $("help").close());

// -- the beginning

function showLimit() {
  const total = Object.values(batch.counts).reduce((sum, number) => sum + number, 0);
  $("limit").hidden = total <= jobs.size;
  $("limit").textContent = `The gallery has ${count(jobs.size)} of ${count(total)} jobs: those that failed or are unknown first, then those that changed last. Figures and charts are over all of them.`;
}

/** Keeps the page as bounded as it was written: jobs that are neither failed nor unknown leave, the oldest first. */
function dropBeyondLimit() {
  const over = jobs.size - batch.limit;
  if (over <= 0) return;
  const calm = [...jobs.values()].filter((job) => job.state !== "failed" && job.state !== "unknown");
  for (const job of calm.sort((a, b) => a.moved - b.moved).slice(0, over)) jobs.delete(job.id);
}

function start() {
  showSummary(batch);
  charts.show(batch.charts);
  refreshFilters();
  refresh();
  showTray();
  showLimit();
  if (!batch.live) return;
  listen(batch.after, {
    news(told) {
      Object.assign(batch, told.figures);
      for (const job of told.jobs) jobs.set(job.id, job);
      dropBeyondLimit();
      showSummary(batch);
      refreshFilters();
      refresh();
      showTray();
      showLimit();
    },
    charts: (data) => charts.show(data),
  });
}

startTheme(() => charts.redraw());
start();
