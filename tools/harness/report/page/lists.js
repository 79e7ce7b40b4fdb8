// Lists and tables. Long ones grow by a piece when somebody asks for more.

const PIECE = 100;

// Shows `items` in `holder`, a piece at a time; make(item, position) makes one.
function inPieces(holder, list, items, make, what) {
  let shownItems = 0;
  const button = element("button.more", {type: "button"});
  const more = () => {
    const piece = document.createDocumentFragment();
    for (const item of items.slice(shownItems, shownItems + PIECE)) {
      piece.append(make(item, shownItems));
      shownItems += 1;
    }
    list.append(piece);
    const left = items.length - shownItems;
    button.textContent = "Show more (" + plural(left, what) + " left)";
    button.hidden = left === 0;
  };
  button.addEventListener("click", more);
  more();
  holder.append(button);
}

function cell(name, ...content) {
  return element("td" + name, {}, ...content);
}

function nameButton(result, open) {
  return element("button.name-button", {type: "button",
    onclick: () => open(result)}, shown(result.test.name));
}

function headings(...columns) {
  return element("thead", {}, element("tr", {}, ...columns.map(([name, words]) =>
    element("th" + name, {scope: "col"}, words))));
}

function showFailures(run, holder, results) {
  holder.replaceChildren();
  const all = run.results.some((result) => isBad(result.verdict));
  const bad = results.filter((result) => isBad(result.verdict) ||
    result.verdict === "flaky");
  if (bad.length === 0) {
    holder.append(element("p", {}, all ? "None of the tests that failed is shown: see the filter." :
      "No test failed."));
    return;
  }
  const list = element("div", {});
  holder.append(list);
  inPieces(holder, list, bad,
    (result, position) => testElement(run, result, position === 0 && isBad(result.verdict)),
    "failure");
}

function showSlowest(run, holder, results, open) {
  holder.replaceChildren();
  const slowest = [...results]
    .sort((a, b) => lastAttempt(b).wall - lastAttempt(a).wall).slice(0, 15);
  if (slowest.length === 0) {
    holder.append(element("p", {}, "No test is shown: see the filter."));
    return;
  }
  const longest = Math.max(lastAttempt(slowest[0]).wall, 1);
  const body = element("tbody", {});
  for (const result of slowest) {
    const meter = element("div.meter", {"data-verdict": result.verdict});
    meter.style.width = Math.max(lastAttempt(result).wall / longest * 100, 1) + "%";
    body.append(element("tr", {},
      cell(".c-time.number", duration(lastAttempt(result).wall)),
      element("td.c-meter.wide", {"aria-hidden": "true"}, meter),
      cell("", nameButton(result, open)),
      cell(".c-target.wide.muted", shown(result.test.target))));
  }
  holder.append(element("table", {}, headings([".c-time.number", "Time"],
    [".c-meter.wide", ""], ["", "Test"], [".c-target.wide", "Target"]), body));
}

function percent(now, before) {
  const change = Math.round((now / before - 1) * 100);
  return (change > 0 ? "+" : change < 0 ? "\u2212" : "") + Math.abs(change) + "\u00a0%";
}

function showChanges(run, holder, results, open) {
  holder.replaceChildren();
  const known = results.filter((result) => result.test.last_wall_us &&
    result.verdict !== "skip");
  if (known.length === 0) {
    holder.append(element("p", {}, "Nobody knows how long these tests took before."));
    return;
  }
  let now = 0;
  let before = 0;
  for (const result of known) {
    now += lastAttempt(result).wall;
    before += result.test.last_wall_us;
  }
  holder.append(element("p.number", {}, plural(known.length, "test") +
    " ran before: " + duration(now) + " together, " + duration(before) +
    " last time (" + percent(now, before) + "). " +
    "These changed the most:"));
  const changed = [...known].map((result) => ({result,
    by: lastAttempt(result).wall - result.test.last_wall_us}))
    .sort((a, b) => Math.abs(b.by) - Math.abs(a.by)).slice(0, 15);
  const body = element("tbody", {});
  for (const {result, by} of changed) {
    const wall = lastAttempt(result).wall;
    body.append(element("tr", {},
      cell(".number", duration(result.test.last_wall_us)),
      cell(".number", duration(wall)),
      cell(".number" + (by > 0 ? ".slower" : ".faster"),
        percent(wall, result.test.last_wall_us)),
      cell("", nameButton(result, open)),
      cell(".wide.muted", shown(result.test.target))));
  }
  holder.append(element("table", {}, headings([".c-time.number", "Last"],
    [".c-time.number", "Now"], [".c-time.number", "Change"], ["", "Test"],
    [".c-target.wide", "Target"]), body));
}

const ORDERS = {
  verdict: (a, b) => VERDICTS.indexOf(a.verdict) - VERDICTS.indexOf(b.verdict),
  name: (a, b) => (a.test.id < b.test.id ? -1 : a.test.id > b.test.id ? 1 : 0),
  time: (a, b) => lastAttempt(a).wall - lastAttempt(b).wall,
  order: (a, b) => a.index - b.index,
};
const sorting = {by: "order", descending: false};

function showAll(run, holder, results, open) {
  holder.replaceChildren();
  const sorted = [...results].sort(ORDERS[sorting.by]);
  if (sorting.descending) sorted.reverse();
  const column = (name, by, words) => {
    const chosen = sorting.by === by;
    return element("th" + name, {scope: "col", "aria-sort": chosen ?
      (sorting.descending ? "descending" : "ascending") : "none"},
    element("button", {type: "button", "data-sort": by, onclick: () => {
      sorting.descending = chosen ? !sorting.descending : by === "time";
      sorting.by = by;
      showAll(run, holder, results, open);
      holder.querySelector("[data-sort=" + by + "]").focus();
    }}, words, chosen ? (sorting.descending ? " \u2193" : " \u2191") : ""));
  };
  const body = element("tbody", {});
  holder.append(element("table", {}, element("thead", {}, element("tr", {},
    column(".c-verdict", "verdict", "Verdict"),
    column(".c-time.number", "time", "Time"),
    column("", "name", "Test"),
    element("th.c-target.wide", {scope: "col"}, "Target"))), body));
  inPieces(holder, body, sorted, (result) => element("tr", {},
    cell("", badge(result.verdict)),
    cell(".number", duration(lastAttempt(result).wall)),
    cell("", nameButton(result, open)),
    cell(".wide.muted", shown(result.test.target))), "test");
}

function showTargets(run, holder) {
  holder.replaceChildren();
  const body = element("tbody", {});
  for (const target of run.targets) {
    const notes = [...target.why, ...target.errors].map((one) =>
      element("p.small.muted", {}, shown(one)));
    body.append(element("tr", {},
      cell("", shown(target.target), ...notes),
      cell("", target.framework + (target.warm ? ", warm" : "")),
      cell(".number", count(target.tests)),
      cell(".number", duration(Math.round((target.ended_ns - target.begun_ns) / 1000)))));
  }
  holder.append(element("table", {}, headings(["", "Target"], [".c-verdict", "Kind"],
    [".c-time.number", "Tests"], [".c-time.number", "Set-up"]), body));
}
