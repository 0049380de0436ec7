// The head of the page: what the batch is, where it stands, what it cost.

const STATES = {
  done: "Done", fetching: "Downloading", running: "Running", submitting: "Submitting", queued: "Waiting",
  unknown: "Unknown", failed: "Failed",
};

/** Shows everything but the charts and the jobs. */
function showSummary(batch) {
  const total = Object.values(batch.counts).reduce((sum, number) => sum + number, 0);
  document.title = `${batch.name} · ${batch.counts.done} of ${total} done`;
  $("eyebrow").textContent = batch.rehearsal ? "Rehearsal, nothing was paid" : "Batch";
  $("name").textContent = batch.name;
  $("subline").textContent = subline(batch, total);
  showBar(batch.counts, total);
  $("figures").replaceChildren(...figures(batch, total).map(([name, value, note]) =>
    make("div", "figure", [make("dt", "", name), make("dd", "", value), make("dd", "note", note)])));
  $("foot").textContent = `As of ${moment(batch.at)}, from the ledger in ${batch.folder}. Times are this browser's local ones. pipeline ${batch.version}`;
}

function subline(batch, total) {
  if (!batch.began) return total ? "No run has begun." : "Waiting for a run to begin.";
  const sameDay = batch.last && date(batch.began, DAY) === date(batch.last, DAY);
  const form = batch.last && batch.last - batch.began < 600 ? SECOND : MINUTE;
  const until = batch.last ? ` to ${sameDay ? "" : `${date(batch.last, DAY)}, `}${date(batch.last, form)}` : "";
  const runs = batch.run_count > 1 ? ` in ${batch.run_count} runs` : "";
  return `${many(total, "job")}, ${date(batch.began, DAY)}, ${date(batch.began, form)}${until}, ${span(batch.worked)} of work${runs}`;
}

function showBar(counts, total) {
  const present = Object.keys(STATES).filter((state) => counts[state]);
  const words = present.map((state) => `${count(counts[state])} ${STATES[state].toLowerCase()}`);
  $("bar").setAttribute("aria-label", words.join(", ") || "no jobs");
  $("bar").replaceChildren(...present.map((state) => {
    const part = make("i", `is-${state}`);
    part.style.flexGrow = counts[state] / total;
    return part;
  }));
  $("legend").replaceChildren(...present.map((state) =>
    make("li", `is-${state}`, [make("i"), make("b", "", count(counts[state])), ` ${STATES[state].toLowerCase()}`])));
}

function figures(batch, total) {
  const { counts } = batch;
  const ended = counts.done + counts.failed + counts.unknown;
  const left = total - ended;
  const found = [["Done", total ? `${count(counts.done)}` : "0", `of ${many(total, "job")}${left ? `, ${count(left)} left` : ""}`]];
  found.push(...costs(batch));
  if (batch.typical) found.push(["A typical task", span(batch.typical.middle), `nine of ten within ${span(batch.typical.high)}`]);
  if (batch.worked && counts.done) found.push(["Throughput", ...rate(counts.done, batch.worked)]);
  const [jobs, bytes] = batch.saved;
  if (jobs) found.push(["On disk", size(bytes), `${size(bytes / jobs)} a job`]);
  return found;
}

function rate(done, seconds) {
  const hourly = (done / seconds) * 3600;
  const shownRate = hourly >= 10 ? count(Math.round(hourly)) : hourly.toFixed(1);
  return [shownRate, "videos an hour while runs went on"];
}

function costs(batch) {
  if (batch.spending === null) return [["Cost", "not noted", "by the version that made this ledger"]];
  const paid = batch.rehearsal ? "would have cost" : "spent";
  const known = batch.spending.filter((one) => one.currency).map((one) => {
    const notes = [Number(one.estimated) ? `${amount(one.estimated)} of it estimated` : "by the usage that was reported"];
    if (Number(one.reserved)) notes.push(`${amount(one.reserved)} reserved`);
    return [batch.rehearsal ? "It would have cost" : "Cost", `${amount(one.spent)} ${one.currency}`, notes.join(", "), paid];
  });
  const unpriced = batch.spending.filter((one) => !one.currency).reduce((sum, one) => sum + one.tasks, 0);
  if (unpriced) {
    const models = batch.unpriced.map(([model, jobs]) => `${model} (${count(jobs)})`).join(", ");
    known.push(["Price unknown", many(unpriced, "task"), models]);
  }
  return known.length ? known : [["Cost", "0.00", "nothing was bought"]];
}
