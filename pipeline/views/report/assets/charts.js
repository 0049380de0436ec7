// The charts. Chart.js draws them; what they show was counted over all jobs before it came here.

const STAGES = [["Submitting", "submitting"], ["Generating", "running"], ["Downloading", "fetching"]];
const PARTS = { submit: "Submit", generate: "Wait and generate", notice: "Notice", download: "Download" };
const ENDS = [["Done", "done"], ["Failed", "failed"], ["Unknown", "unknown"]];

class Charts {
  constructor() {
    this.drawn = {};
    this.choice = "all";
    $("window").addEventListener("change", () => {
      this.choice = $("window").value;
      this.draw();
    });
  }

  /** Takes new data, and draws. */
  show(data) {
    this.data = data;
    this.offerWindows();
    this.draw();
  }

  /** Draws everything from nothing, in the colours of the moment. */
  redraw() {
    for (const chart of Object.values(this.drawn)) chart.destroy();
    this.drawn = {};
    this.draw();
  }

  draw() {
    if (!this.data) return;
    this.paint = colours("ink", "muted", "line", "surface", "accent", ...STAGES.map(([, name]) => name), "done", "failed", "unknown");
    Chart.defaults.font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
    Chart.defaults.color = this.paint.muted;
    Chart.defaults.borderColor = this.paint.line;
    const chosen = this.data.windows.find((one) => (one.run ?? "all") === this.choice) ?? this.data.windows[0];
    this.plot("overlap", chosen && this.overlap(chosen));
    this.plot("throughput", chosen && this.throughput(chosen));
    this.plot("parts", this.parts());
    this.plot("kinds", this.kinds());
    this.plot("failures", this.failures());
  }

  /** Draws a chart anew, changes the one that is there, or says that there is nothing to draw. */
  plot(name, wanted) {
    const canvas = $(`chart-${name}`);
    const nothing = !wanted;
    canvas.parentElement.classList.toggle("nothing", nothing);
    canvas.setAttribute("aria-label", nothing ? "Nothing to show yet" : wanted.words);
    const there = this.drawn[name];
    if (nothing) {
      there?.destroy();
      delete this.drawn[name];
    } else if (there && sameSets(there.data.datasets, wanted.config.data.datasets)) {
      there.options = wanted.config.options;
      there.data.labels = wanted.config.data.labels;
      there.data.datasets.forEach((set, place) => Object.assign(set, wanted.config.data.datasets[place]));
      there.update("none");
    } else {
      there?.destroy();
      this.drawn[name] = new Chart(canvas, wanted.config);
    }
  }

  offerWindows() {
    const windows = this.data.windows;
    $("window-choice").hidden = windows.length < 2;
    const wanted = windows.map((one) => [one.run ?? "all", one.run ? `Run of ${date(one.begin, SHORT_DAY)}, ${date(one.begin, MINUTE)}` : "All runs"]);
    $("window").replaceChildren(...wanted.map(([value, text]) => make("option", "", text, { value })));
    $("window").value = wanted.some(([value]) => value === this.choice) ? this.choice : "all";
  }

  overlap(window) {
    const sets = STAGES.map(([label, name], stage) => ({
      label,
      data: window.stages[stage].map((y, point) => ({ x: window.begin + (point + 0.5) * window.width, y })),
      fill: true, stack: "all", pointRadius: 0, pointHitRadius: 12, borderWidth: 1.5, cubicInterpolationMode: "monotone",
      borderColor: this.paint[name], backgroundColor: faded(this.paint[name], 0.28),
    }));
    if (!window.stages.flat().some(Boolean)) return null;
    const sums = window.stages[0].map((_, point) => window.stages.reduce((sum, stage) => sum + stage[point], 0));
    const words = `Tasks at the same time: ${Math.max(...sums).toFixed(1)} at most`;
    return { words, config: { type: "line", data: { datasets: sets }, options: this.options({
      scales: { x: timeAxis(window), y: this.countAxis({ stacked: true }) },
      tooltip: { title: ([item]) => date(item.parsed.x, SECOND), label: (item) => ` ${item.dataset.label}: ${item.parsed.y.toFixed(1)}` },
      legend: true,
    }) } };
  }

  throughput(window) {
    const width = window.bar;
    const present = ENDS.filter(([, state], place) => place === 0 || window.ended[state].some(Boolean));
    const sets = present.map(([label, state]) => ({
      label, stack: "all", backgroundColor: this.paint[state], borderRadius: 2, barPercentage: 1, categoryPercentage: 0.86,
      data: window.ended[state].map((y, bar) => ({ x: window.begin + (bar + 0.5) * width, y })),
    }));
    const total = present.reduce((sum, [, state]) => sum + window.ended[state].reduce((a, b) => a + b, 0), 0);
    if (!total) return null;
    const each = span(width >= 120 ? Math.round(width / 60) * 60 : width);
    $("throughput-unit").textContent = `jobs that ended in each ${each}`;
    return { words: `Throughput: ${many(total, "job")} ended, shown for each ${each}`, config: { type: "bar", data: { datasets: sets }, options: this.options({
      scales: { x: { ...timeAxis(window), stacked: true, offset: false }, y: this.countAxis({ stacked: true }) },
      tooltip: { title: ([item]) => `${date(item.parsed.x - width / 2, SECOND)} to ${date(item.parsed.x + width / 2, SECOND)}`, label: (item) => ` ${item.dataset.label}: ${count(item.parsed.y)}` },
      legend: present.length > 1,
    }) } };
  }

  parts() {
    const rows = Object.entries(PARTS).map(([part, label]) => [label, this.data.parts[part]]).filter(([, row]) => row);
    return this.ranges("Time per stage", rows, "logarithmic", this.paint.accent);
  }

  kinds() {
    return this.ranges("Duration of a task", this.data.kinds.map((row) => [row.kind, row]), "linear", this.paint.running);
  }

  /** Bars from the tenth to the ninetieth of a hundred; the colour changes at the middle. */
  ranges(title, rows, scale, colour) {
    if (!rows.length) return null;
    const floor = scale === "linear" ? 0 : 0.01; // a logarithm of nothing is no place to begin
    const between = (from, to) => rows.map(([, row]) => [Math.max(floor, row[from]), Math.max(floor, row[to])]);
    const shared = { grouped: false, borderSkipped: false, barPercentage: 0.62, categoryPercentage: 0.9, maxBarThickness: 22, minBarLength: 3 };
    const sets = [
      { ...shared, data: between("low", "middle"), backgroundColor: faded(colour, 0.85), borderRadius: { topLeft: 4, bottomLeft: 4 } },
      { ...shared, data: between("middle", "high"), backgroundColor: faded(colour, 0.35), borderRadius: { topRight: 4, bottomRight: 4 } },
    ];
    const words = `${title}: ${rows.map(([label, row]) => `${label} ${span(row.middle)} in the middle, ${span(row.high)} for nine of ten`).join("; ")}`;
    return { words, config: { type: "bar", data: { labels: rows.map(([label]) => label), datasets: sets }, options: this.options({
      indexAxis: "y",
      scales: {
        x: { type: scale, afterBuildTicks: scale === "linear" ? undefined : (axis) => { axis.ticks = axis.ticks.filter(({ value }) => isTen(value)); }, grid: { color: this.paint.line }, border: { display: false }, beginAtZero: scale === "linear",
          ticks: { maxTicksLimit: 5, maxRotation: 0, callback: (value) => (value ? span(value) : "0") } },
        y: { grid: { display: false }, border: { display: false }, ticks: { color: this.paint.ink, callback(value) { return clipped(this.getLabelForValue(value), 24); } } },
      },
      tooltip: {
        filter: (item) => item.datasetIndex === 0,
        label: (item) => {
          const row = rows[item.dataIndex][1];
          return [` middle ${span(row.middle)}`, ` tenth ${span(row.low)}, ninetieth ${span(row.high)}`, ` longest ${span(row.most)}`, ` ${many(row.count, "job")}`];
        },
      },
    }) } };
  }

  failures() {
    const rows = this.data.failures;
    if (!rows.length) return null;
    const labels = rows.map((row) => [clipped(row.code, 22), ...(row.stage ? [`at ${row.stage}`] : [])]);
    const words = `Failures: ${rows.map((row) => `${count(row.count)} ${row.code}${row.stage && ` at ${row.stage}`}`).join(", ")}`;
    return { words, config: { type: "bar", data: { labels, datasets: [{ data: rows.map((row) => row.count), backgroundColor: faded(this.paint.failed, 0.85), borderRadius: 4, barPercentage: 0.62, categoryPercentage: 0.9, maxBarThickness: 22 }] }, options: this.options({
      indexAxis: "y",
      scales: {
        x: this.countAxis({ grid: { color: this.paint.line } }),
        y: { grid: { display: false }, border: { display: false }, ticks: { color: this.paint.ink, autoSkip: false } },
      },
      tooltip: { title: ([item]) => `${rows[item.dataIndex].code} ${rows[item.dataIndex].stage}`, label: (item) => ` ${many(item.parsed.x, "job")}` },
    }) } };
  }

  countAxis(more) {
    return { beginAtZero: true, grid: { color: this.paint.line }, border: { display: false }, ticks: { precision: 0, maxTicksLimit: 6 }, ...more };
  }

  options({ scales, tooltip, legend = false, indexAxis = "x" }) {
    const { filter, ...callbacks } = tooltip;
    return {
      indexAxis, scales, responsive: true, maintainAspectRatio: false, animation: false,
      interaction: { mode: "index", intersect: false, axis: indexAxis },
      plugins: {
        legend: { display: legend, align: "end", labels: { boxWidth: 8, boxHeight: 8, usePointStyle: true, pointStyle: "rectRounded", padding: 14 } },
        tooltip: { callbacks, ...(filter ? { filter } : {}), backgroundColor: this.paint.ink, titleColor: this.paint.surface, bodyColor: this.paint.surface, padding: 10, cornerRadius: 8, boxPadding: 4, displayColors: legend },
      },
    };
  }
}

const sameSets = (before, after) => before.length === after.length && before.every((set, place) => set.label === after[place].label);
const isTen = (value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9;
const clipped = (text, limit) => (text.length > limit ? `${text.slice(0, limit - 1)}…` : text);

/** A linear axis of Unix seconds with ticks at whole minutes, hours or days. */
function timeAxis(window) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000];
  const length = Math.max(window.end - window.begin, 1);
  const step = steps.find((one) => length / one <= 7) ?? length / 6;
  const shift = new Date(window.begin * 1000).getTimezoneOffset() * 60;
  const form = step >= 86400 ? SHORT_DAY : step >= 60 ? MINUTE : SECOND;
  return {
    type: "linear", bounds: "data", min: window.begin, max: window.begin + length, grid: { display: false }, border: { display: false },
    afterBuildTicks(axis) {
      axis.ticks = [];
      for (let at = Math.ceil((window.begin - shift) / step) * step + shift; at <= window.end; at += step) axis.ticks.push({ value: at });
    },
    ticks: { maxRotation: 0, autoSkip: true, autoSkipPadding: 12, callback: (value) => date(value, form) },
  };
}
