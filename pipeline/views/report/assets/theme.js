// Light, dark, or like the system.

const THEMES = ["system", "light", "dark"];

/** Sets the theme up; `changed` is called whenever colours are others. */
function startTheme(changed) {
  const button = $("theme");
  let theme = THEMES.includes(memory.get("theme")) ? memory.get("theme") : "system";
  const apply = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.setAttribute("aria-label", `Theme: ${theme === "system" ? "like the system" : theme}`);
    button.title = button.getAttribute("aria-label");
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    memory.set("theme", theme);
    apply();
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  apply();
}

/** The colours of the moment by the names of the style's variables; a canvas knows no variables. */
function colours(...names) {
  const probe = document.body.appendChild(make("i"));
  const found = {};
  for (const name of names) {
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

const faded = (colour, share) => colour.replace(/^rgba?\(([^)]*)\)$/, (_, parts) => `rgba(${parts.split(",").slice(0, 3).join(",")}, ${share})`);
