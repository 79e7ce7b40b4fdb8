// Words, numbers and elements.

const VERDICT_WORDS = {pass: "passed", fail: "failed", skip: "skipped",
  crash: "crashed", timeout: "timed out", leak: "leaked", flaky: "flaky",
  infrastructure: "could not be run"};
const BADGES = {pass: "PASS", fail: "FAIL", skip: "SKIP", crash: "CRASH",
  timeout: "TIMEOUT", leak: "LEAK", flaky: "FLAKY", infrastructure: "ERROR"};

function count(number) {
  return number.toLocaleString("en-US");
}

function plural(number, word) {
  return count(number) + " " + word + (number === 1 ? "" : "s");
}

function duration(us) {
  if (us < 1000) return us + "\u00a0\u00b5s";
  if (us < 1e6) return (us / 1000).toFixed(us < 1e4 ? 1 : 0) + "\u00a0ms";
  if (us < 6e7) return (us / 1e6).toFixed(us < 1e7 ? 2 : 1) + "\u00a0s";
  const seconds = Math.round(us / 1e6);
  if (seconds < 3600) {
    return Math.floor(seconds / 60) + "\u00a0min " + (seconds % 60) + "\u00a0s";
  }
  return Math.floor(seconds / 3600) + "\u00a0h " +
    (Math.floor(seconds / 60) % 60) + "\u00a0min";
}

function bytes(number) {
  if (number < 1 << 20) return Math.round(number / 1024) + "\u00a0KB";
  return (number / (1 << 20)).toFixed(number < 1e8 ? 1 : 0) + "\u00a0MB";
}

// Output as it can be shown: without escape sequences, other control characters
// as their pictures.
function shown(text) {
  return text
    // eslint-disable-next-line no-control-regex
    .replace(/\u001b\[[0-9;:?]*[ -/]*[@-~]/g, "")
    .replace(/\u001b\][^\u0007\u001b]*(\u0007|\u001b\\)/g, "")
    .replace(/\r\n/g, "\n")
    .replace(/[\u0000-\u0008\u000b-\u001f]/g,
      (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/\u007f/g, "\u2421")
    .replace(/[\u0080-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

// element("p.muted", {id: "x"}, "text", another): a class after each dot.
function element(name, attributes, ...content) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  if (classes.length > 0) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...content.filter((one) => one !== null && one !== undefined));
  return made;
}

function badge(verdict) {
  return element("span.badge", {"data-verdict": verdict}, BADGES[verdict]);
}

function place(file, line) {
  if (!file) return "";
  return line ? file + ":" + line : file;
}

function byId(id) {
  return document.getElementById(id);
}
