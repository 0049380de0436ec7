// While `pipeline watch` serves this page: what is new comes as events, and nothing is ever sent back.

/** Listens; `news` gets new figures and changed jobs, `charts` the charts' data. */
function listen(after, { news, charts }) {
  const badge = $("live");
  const say = (state, words) => {
    badge.hidden = false;
    badge.dataset.state = state;
    badge.querySelector("span").textContent = words;
  };
  let [source, last] = [null, after];
  const connect = () => {
    source = new EventSource(`events?after=${encodeURIComponent(last)}`);
    source.addEventListener("open", () => say("on", "Live"));
    source.addEventListener("error", () => say("off", "Not connected"));
    source.addEventListener("news", (event) => {
      const told = JSON.parse(event.data);
      last = event.lastEventId || last;
      if (told.trouble) say("off", told.trouble);
      else say("on", "Live");
      news(told);
    });
    source.addEventListener("charts", (event) => {
      last = event.lastEventId || last;
      charts(JSON.parse(event.data));
    });
    source.addEventListener("anew", () => {
      source.close();
      location.reload();
    });
  };
  // A browser has few connections for one server: a tab that nobody sees gives its own back, and catches up later.
  document.addEventListener("visibilitychange", () => {
    source.close();
    if (!document.hidden) connect();
  });
  connect();
}
