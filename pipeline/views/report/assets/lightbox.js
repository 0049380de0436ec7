// One job, large, with everything that is known of it.

class Lightbox {
  /** `jobs` gives the jobs as they are shown now, `mark` and `isMarked` as for the gallery, `closed` gets the last place. */
  constructor({ jobs, mark, isMarked, closed, batch }) {
    Object.assign(this, { jobs, mark, isMarked, batch });
    this.dialog = $("lightbox");
    this.place = 0;
    $("previous").addEventListener("click", () => this.go(-1));
    $("next").addEventListener("click", () => this.go(1));
    $("lightbox-mark").addEventListener("click", () => this.mark(this.job));
    $("lightbox-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("close", () => {
      $("stage").replaceChildren();
      closed(this.place);
    });
  }

  get isOpen() {
    return this.dialog.open;
  }

  open(place) {
    this.place = place;
    this.show();
    if (this.isOpen) return;
    this.dialog.showModal();
    $("lightbox-title").focus({ preventScroll: true });
  }

  go(step) {
    const next = this.place + step;
    if (next >= 0 && next < this.jobs().length) this.open(next);
  }

  /** The jobs have changed: stay with the job, and tell what is new of it. */
  refresh() {
    if (!this.isOpen) return;
    const place = this.jobs().findIndex((job) => job.id === this.job.id);
    if (place < 0) return;
    this.place = place;
    if (this.jobs()[place] !== this.job) this.show();
  }

  show() {
    const before = this.job;
    const job = this.jobs()[this.place];
    this.job = job;
    $("lightbox-title").textContent = job.id;
    $("lightbox-state").textContent = STATES[job.state];
    $("lightbox-state").className = `state is-${job.state}`;
    $("previous").disabled = this.place === 0;
    $("next").disabled = this.place === this.jobs().length - 1;
    this.showMark();
    if (before?.id !== job.id || before?.state !== job.state || !$("stage").hasChildNodes()) this.showStage(job);
    $("details").replaceChildren(...detailsOf(job, this.batch()));
  }

  showMark() {
    $("lightbox-mark").setAttribute("aria-pressed", Boolean(this.job && this.isMarked(this.job)));
  }

  showStage(job) {
    const files = job.files ?? [];
    if (!files.length) {
      const [picture] = picturesOf(job);
      const words = job.failure ? (picture ? "" : "There is no video.") : `${STATES[job.state]}. There is no video yet.`;
      $("stage").replaceChildren(...(picture ? [make("img", "", [], { src: picture, alt: `Input picture of ${job.id}` })] : []), ...(words ? [make("p", "", words)] : []));
      return;
    }
    const video = make("video", "", [], { controls: "", loop: "", playsinline: "", "aria-label": `Video of ${job.id}` });
    const show = (url) => {
      video.src = url;
      video.play().catch(() => {});
    };
    show(files[0][2]);
    const picks = files.length < 2 ? [] : [make("div", "picks", files.map(([path, , url], number) => {
      const pick = make("button", "", String(number + 1), { type: "button", title: path });
      pick.addEventListener("click", () => show(url));
      return pick;
    }))];
    $("stage").replaceChildren(video, ...picks);
  }

  toggle() {
    const video = $("stage").querySelector("video");
    if (video) video.paused ? video.play().catch(() => {}) : video.pause();
  }
}

function detailsOf(job, batch) {
  const found = [];
  if (job.failure) found.push(failureOf(job.failure));
  if (job.state === "unknown") found.push(decisionOf(job, batch));
  const prompt = promptOf(job);
  if (prompt) found.push(part("Prompt", make("p", "prompt", prompt)));
  if (job.input?.negative_prompt) found.push(part("Not to be seen", make("p", "prompt", shown(job.input.negative_prompt))));
  const inputs = inputsOf(job);
  if (inputs.length) found.push(part("Input", inputs));
  found.push(part("Request", facts([["Model", job.model], ...Object.entries(job.parameters ?? {})])));
  if (!isEmpty(job.metadata)) found.push(part("Metadata", facts(Object.entries(job.metadata))));
  const times = timesOf(job);
  if (times) found.push(part("Time", times));
  found.push(part("Record", facts(recordOf(job))));
  for (const [path, bytes, url] of job.files ?? []) found.push(make("p", "file", [make("a", "", path, { href: url, target: "_blank" }), ` ${size(bytes)}`]));
  if (job.cut) found.push(make("p", "notice", "Something of this job is too large for this page and is shown shortened; its re-roll has to be written by hand."));
  return found;
}

const part = (title, content) => make("section", "", [make("h3", "", title), content]);

function facts(rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("dl", "rows", known.map(([name, value]) => make("div", "", [make("dt", "", name), make("dd", "", shown(value))])));
}

function failureOf([stage, code, message, status]) {
  return make("section", "failure", [make("h3", "", `${code} at ${stage}${status ? `, HTTP ${status}` : ""}`), make("p", "", message)]);
}

function decisionOf(job, batch) {
  const command = `pipeline resolve ${quoted(batch.folder)} ${quoted(job.id)} --task-id ID | --resubmit | --write-off`;
  return make("section", "decision", [make("h3", "", "Waits for a decision"), make("code", "", command)]);
}

/** Local pictures are shown; what is elsewhere is a link, and nothing is fetched unless it is followed. */
function inputsOf(job) {
  const shownHere = (job.media ?? []).map(([field, path, mime, url]) => {
    const preview = mime.startsWith("image/") ? [make("img", "", [], { src: url, alt: "", loading: "lazy" })] : [];
    return make("figure", "input", [...preview, make("figcaption", "", [make("b", "", field.replace(/^input\./, "")), make("a", "", path.split("/").at(-1), { href: url, target: "_blank", title: path })])]);
  });
  const local = new Set((job.media ?? []).map(([field]) => field));
  const others = Object.entries(job.input ?? {}).filter(([name]) => !["prompt", "negative_prompt", "text"].includes(name) && !local.has(`input.${name}`));
  const rows = others.map(([name, value]) => make("div", "", [make("dt", "", name), make("dd", "", elsewhere(value))]));
  return rows.length ? [...shownHere, make("dl", "rows", rows)] : shownHere;
}

function elsewhere(value) {
  const text = shown(value);
  if (typeof value !== "string" || !/^https?:\/\/[^\s]+$/i.test(value)) return text.length > 300 ? `${text.slice(0, 300)}…` : text;
  return make("a", "", text, { href: value, target: "_blank", rel: "noopener noreferrer" });
}

function timesOf(job) {
  const names = ["Submit", "Wait and generate", "Notice", "Download"];
  const known = job.times.map((seconds, place) => [names[place], seconds, place]).filter(([, seconds]) => seconds !== null);
  if (!known.length) return null;
  const bar = make("div", "timebar", known.map(([, seconds, place]) => {
    const piece = make("i", `part-${place}`);
    piece.style.flexGrow = Math.max(seconds, 0.0001);
    return piece;
  }), { "aria-hidden": "true" });
  const rows = known.map(([name, seconds, place]) => make("div", "", [make("dt", "", [make("i", `part-${place}`), name]), make("dd", "", span(seconds))]));
  return [bar, make("dl", "rows", rows)];
}

function recordOf(job) {
  return [
    ["Cost", job.cost ? `${job.cost[0]} ${job.cost[1]}${job.cost[2] ? ", estimated" : ""}` : job.attempt ? "unknown" : null],
    ["Attempt", job.attempt || null],
    ["Submitted", moment(job.submitted ?? job.intent)],
    [job.state === "done" ? "On disk" : "Last change", job.state === "queued" ? null : moment(job.moved)],
    ["Task", job.task],
    ["Manifest", `${job.source[0]}, line ${job.source[1]}`],
  ];
}
