// The gallery: of any number of jobs, only the cards near the window are in the document, and only they load anything.

const GAP = 20;
const NARROWEST = 268; // pixels of a card
const TEXT_HEIGHT = 124;
const BEYOND = 700; // pixels above and below the window that are drawn already
const SETTLED = 120; // milliseconds without scrolling after which pictures and videos are fetched
const AT_ONCE = 4; // videos whose first frame is fetched before the page may breathe
const BREATH = 40; // milliseconds

class Gallery {
  /** `open` is called with a place in the gallery, `mark` with a job, `isMarked` answers for one. */
  constructor({ open, mark, isMarked }) {
    Object.assign(this, { open, mark, isMarked });
    this.box = $("cards");
    this.jobs = [];
    this.current = 0;
    this.there = new Map(); // job id → element
    this.spare = [];
    this.queued = false;
    const again = () => this.queue();
    addEventListener("scroll", again, { passive: true });
    new ResizeObserver(again).observe(this.box);
    addEventListener("resize", again, { passive: true });
  }

  /** Shows these jobs; the one that was current stays so, if it is among them. */
  show(jobs) {
    const before = this.jobs[this.current]?.id;
    this.jobs = jobs;
    const kept = jobs.findIndex((job) => job.id === before);
    this.current = kept >= 0 ? kept : Math.min(this.current, Math.max(0, jobs.length - 1));
    this.draw();
  }

  queue() {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => {
      this.queued = false;
      this.draw();
    });
  }

  measure() {
    const width = this.box.clientWidth;
    this.columns = Math.max(1, Math.floor((width + GAP) / (NARROWEST + GAP)));
    this.cardWidth = (width - GAP * (this.columns - 1)) / this.columns;
    this.frameHeight = Math.round((this.cardWidth * 9) / 16);
    this.rowHeight = this.frameHeight + TEXT_HEIGHT + GAP;
    const rows = Math.ceil(this.jobs.length / this.columns);
    this.box.style.height = `${Math.max(0, rows * this.rowHeight - GAP)}px`;
  }

  draw() {
    this.measure();
    const top = -this.box.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor((top - BEYOND) / this.rowHeight)) * this.columns;
    const last = Math.min(this.jobs.length, Math.ceil((top + innerHeight + BEYOND) / this.rowHeight) * this.columns);
    const places = new Map();
    for (let place = first; place < last; place += 1) places.set(this.jobs[place].id, place);
    const focused = this.jobs[this.current];
    if (focused && this.there.get(focused.id)?.contains(document.activeElement)) places.set(focused.id, this.current);
    for (const [id, card] of this.there) if (!places.has(id)) this.release(id, card);
    for (const [id, place] of places) this.place(id, place);
    for (const card of this.spare.splice(0)) card.remove();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetchMedia(), SETTLED);
  }

  place(id, place) {
    let card = this.there.get(id);
    if (!card) {
      card = this.spare.pop() ?? this.box.appendChild(this.build());
      this.there.set(id, card);
    }
    const job = this.jobs[place];
    if (card.job !== job) this.fill(card, job);
    card.place = place;
    card.tabIndex = place === this.current ? 0 : -1;
    card.setAttribute("aria-posinset", place + 1);
    card.setAttribute("aria-setsize", this.jobs.length);
    const [column, row] = [place % this.columns, Math.floor(place / this.columns)];
    card.style.width = `${this.cardWidth}px`;
    card.style.transform = `translate(${column * (this.cardWidth + GAP)}px, ${row * this.rowHeight}px)`;
    card.frame.style.height = `${this.frameHeight}px`;
  }

  build() {
    const card = $("card").content.firstElementChild.cloneNode(true);
    for (const part of ["frame", "still", "clip", "glyph", "tag", "mark", "id", "state", "prompt", "facts"]) card[part === "id" ? "name" : part] = card.querySelector(`.${part}`);
    card.frame.addEventListener("click", (event) => {
      if (!event.target.closest(".mark")) this.open(card.place);
    });
    card.mark.addEventListener("click", () => this.mark(card.job));
    card.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && this.play(card));
    card.addEventListener("pointerleave", () => this.pause(card));
    card.addEventListener("focusin", () => this.setCurrent(card.place));
    card.clip.addEventListener("playing", () => card.classList.add("playing"));
    card.still.addEventListener("error", () => {
      const next = card.sources.shift();
      if (next) card.still.src = next;
      else card.still.hidden = true;
    });
    return card;
  }

  /** The card may show another job from now on; what no job wants is taken out of the document when all are placed. */
  release(id, card) {
    this.there.delete(id);
    this.unload(card);
    card.job = null;
    this.spare.push(card);
  }

  fill(card, job) {
    const same = card.job?.id === job.id && card.job.files?.[0]?.[2] === job.files?.[0]?.[2];
    if (!same) this.unload(card);
    card.job = job;
    card.className = `card is-${job.state}`;
    card.name.textContent = job.id;
    card.name.title = job.id;
    card.state.textContent = STATES[job.state];
    card.prompt.textContent = promptOf(job) || job.model;
    card.facts.textContent = job.failure ? job.failure[2] : factsOf(job).join("  ·  ");
    card.facts.title = job.failure ? `${job.failure[1]} at ${job.failure[0]}` : "";
    card.tag.textContent = tagOf(job);
    card.glyph.textContent = job.files?.length ? "" : STATES[job.state];
    card.setAttribute("aria-label", `${job.id}, ${STATES[job.state]}. ${job.failure ? job.failure[2] : promptOf(job)}`);
    this.showMark(card);
  }

  showMark(card) {
    const marked = this.isMarked(card.job);
    card.mark.setAttribute("aria-pressed", marked);
    card.classList.toggle("marked", marked);
  }

  /** Marks have changed. */
  showMarks() {
    for (const card of this.there.values()) this.showMark(card);
  }

  fetchMedia() {
    let clips = 0;
    for (const card of this.there.values()) {
      if (card.loaded) continue;
      card.sources = picturesOf(card.job);
      const still = card.sources.shift();
      const wantsClip = !still && card.job.files?.length;
      if (wantsClip && clips === AT_ONCE) {
        this.timer = setTimeout(() => this.fetchMedia(), BREATH);
        return;
      }
      card.loaded = true;
      card.still.hidden = !still;
      if (still) card.still.src = still;
      else if (wantsClip) this.loadClip(card, "metadata");
      clips += wantsClip ? 1 : 0;
    }
  }

  loadClip(card, preload) {
    const [, , url] = card.job.files[0];
    card.clip.preload = preload;
    if (card.clip.getAttribute("src") !== url) card.clip.src = url;
    card.clip.hidden = false;
  }

  unload(card) {
    card.loaded = false;
    card.classList.remove("playing");
    card.still.removeAttribute("src");
    card.still.hidden = true;
    if (card.clip.hasAttribute("src")) {
      card.clip.pause();
      card.clip.removeAttribute("src");
      card.clip.load();
    }
    card.clip.hidden = true;
  }

  play(card) {
    if (!card?.job.files?.length) return;
    this.loadClip(card, "auto");
    card.clip.play().catch(() => card.classList.remove("playing"));
  }

  pause(card) {
    card.clip.pause();
    card.classList.remove("playing");
  }

  /** Plays or pauses the current job's video. */
  toggle() {
    const card = this.there.get(this.jobs[this.current]?.id);
    if (card?.classList.contains("playing")) this.pause(card);
    else this.play(card);
  }

  setCurrent(place) {
    this.current = place;
    for (const card of this.there.values()) card.tabIndex = card.place === place ? 0 : -1;
  }

  /** Goes to a place, which comes into view and gets the focus. */
  goTo(place) {
    if (!this.jobs.length) return;
    this.setCurrent(Math.max(0, Math.min(this.jobs.length - 1, place)));
    const top = this.box.getBoundingClientRect().top + scrollY + Math.floor(this.current / this.columns) * this.rowHeight;
    const head = document.querySelector(".toolbar").offsetHeight + 16;
    if (top < scrollY + head) scrollTo(0, top - head);
    else if (top + this.rowHeight > scrollY + innerHeight) scrollTo(0, top + this.rowHeight - innerHeight);
    this.draw();
    const id = this.jobs[this.current].id;
    if (!this.there.has(id)) this.place(id, this.current);
    this.there.get(id).focus({ preventScroll: true });
  }

  /** Whether the focus is on a card. */
  get hasFocus() {
    return this.box.contains(document.activeElement);
  }
}

/** Where the picture that a job begins with can be had without the network, the best place first. */
function picturesOf(job) {
  const local = (job.media ?? []).find(([, , mime]) => mime.startsWith("image/"));
  if (local) return location.protocol === "file:" ? [local[3], fileUrl(local[1])] : [local[3]];
  const inline = Object.values(job.input ?? {}).find((value) => typeof value === "string" && isInlinePicture(value));
  return inline ? [inline] : [];
}

const fileUrl = (path) => `file://${path.split("/").map(encodeURIComponent).join("/")}`;
const isInlinePicture = (text) => /^data:image\/(png|jpeg|webp|gif|avif|bmp);base64,[A-Za-z0-9+/=]+$/.test(text);

function tagOf(job) {
  const given = job.parameters ?? {};
  const seconds = given.duration;
  return [given.resolution ?? given.size, seconds === undefined ? null : `${seconds} s`].filter((part) => part !== undefined && part !== null).map(shown).join(" · ");
}

function factsOf(job) {
  const facts = [];
  const seconds = took(job);
  if (seconds !== null) facts.push(span(seconds));
  if (job.cost) facts.push(`${job.cost[2] ? "about " : ""}${amount(job.cost[0])} ${job.cost[1]}`);
  if (job.parameters?.seed !== undefined) facts.push(`seed ${shown(job.parameters.seed)}`);
  if (job.attempt > 1) facts.push(`attempt ${job.attempt}`);
  return facts;
}
