// While `pipeline watch` serves this page: what is new comes as events, and nothing is ever sent back.

/** Listens; `news` gets new figures and changed jobs, `charts` the charts' data. */
function listen(after, { news, charts }) {
  const badge = $("live");
  const say = (state, words) => {
    badge.hidden = false;
    badge.dataset.state = state;
    badge.querySelector("span").textContent = words;
  };
  const source = new EventSource(`events?after=${encodeURIComponent(after)}`);
  source.addEventListener("open", () => say("on", "Live"));
  source.addEventListener("error", () => say("off", "Not connected"));
  source.addEventListener("news", (event) => {
    const told = JSON.parse(event.data);
    if (told.trouble) say("off", told.trouble);
    else say("on", "Live");
    news(told);
  });
  source.addEventListener("charts", (event) => charts(JSON.parse(event.data)));
  source.addEventListener("anew", () => {
    source.close();
    location.reload();
  });
}
