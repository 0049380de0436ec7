// Numbers, times and elements. Text from the batch only ever becomes text: `textContent`, never HTML.

const $ = (id) => document.getElementById(id);

/** An element with a class, children (texts or elements) and attributes. */
function make(tag, className = "", children = [], attributes = {}) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...[children].flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

const WHOLE = new Intl.NumberFormat("en");
const MONEY = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const count = (number) => WHOLE.format(number);
const many = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min` from seconds. */
function span(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 9.95) return `${seconds.toFixed(seconds < 0.0995 ? 2 : 1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  let [minutes, rest] = [Math.floor(Math.round(seconds) / 60), Math.round(seconds) % 60];
  if (minutes < 60) return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  minutes %= 60;
  return hours < 100 ? (minutes ? `${count(hours)} h ${minutes} min` : `${hours} h`) : `${count(Math.round(hours / 24))} days`;
}

/** `870 B`, `2.5 MB`. */
function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (bytes >= 999.5 && step < units.length - 1) [bytes, step] = [bytes / 1000, step + 1];
  return `${step && bytes < 99.95 ? bytes.toFixed(1) : Math.round(bytes)} ${units[step]}`;
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const SECOND = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const SHORT_DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

const date = (seconds, form) => form.format(new Date(seconds * 1000));
const moment = (seconds) => (seconds ? `${date(seconds, DAY)}, ${date(seconds, SECOND)}` : "");

/** An amount as people read it: two places where it has more than it needs. */
const amount = (text) => {
  const value = Number(text);
  return value !== 0 && value < 0.01 ? text : MONEY.format(value);
};

/** Values of a manifest in a few words. */
const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** A word of a command line. */
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** An object's own value: texts of a batch may be called `constructor`. */
const own = (object, name) => (object && Object.hasOwn(object, name) ? object[name] : undefined);

const isEmpty = (value) => value === undefined || value === null || Object.keys(value).length === 0;

/** Remembered by this browser, where it may. */
const memory = {
  get(key) {
    try { return localStorage.getItem(`pipeline ${key}`); } catch { return null; }
  },
  set(key, value) {
    try { localStorage.setItem(`pipeline ${key}`, value); } catch { /* a browser that keeps nothing */ }
  },
};
