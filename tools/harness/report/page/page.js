// Puts the page together.

function headline(run) {
  const summary = run.summary;
  const bad = run.results.filter((result) => isBad(result.verdict)).length;
  const planned = summary ? summary.planned :
    run.tests.length * (run.plan ? run.plan.repeat : 1);
  if (!summary) {
    return ["Did not end: " + count(run.results.length) + " of " +
      plural(planned, "test") + (bad > 0 ? ", " + count(bad) + " failed" : ""), false];
  }
  if (summary.interrupted) {
    return ["Interrupted: " + count(bad) + " of " +
      plural(run.results.length, "test") + " failed", false];
  }
  if (planned === 0) return ["No tests", false];
  if (bad > 0) return [count(bad) + " of " + plural(planned, "test") + " failed", false];
  if (summary.exit_code !== 0) return ["No test failed, but the run did", false];
  return [plural(planned, "test") + " passed", true];
}

function showHead(run) {
  const [text, good] = headline(run);
  const heading = byId("headline");
  heading.textContent = text;
  heading.className = good ? "good" : "bad";
  document.title = text;
  const facts = [];
  if (run.summary) facts.push(duration(run.summary.wall_us));
  if (run.plan) {
    facts.push(plural(run.plan.slots, "slot"),
      new Date(run.plan.begun_unix_ms).toLocaleString(undefined,
        {dateStyle: "medium", timeStyle: "short"}));
    if (run.plan.seed) facts.push("seed " + run.plan.seed);
    facts.push(...run.plan.notes, "run " + run.plan.run);
  }
  byId("facts").textContent = facts.join(" \u00b7 ");
  const notices = byId("notices");
  const notice = (kind, words) => notices.append(element("p.notice" + kind, {}, shown(words)));
  if (!run.summary) {
    notice(".error", "This run did not end, or goes on: the page has what was written so far.");
  } else {
    for (const error of run.summary.errors) notice(".error", error);
    if (run.summary.not_run > 0) {
      notice("", plural(run.summary.not_run, "test") + " not run" +
        (run.summary.stopped_because ? ": " + run.summary.stopped_because : ""));
    }
  }
  for (const warning of run.warnings) notice("", warning);
}

function countVerdicts(run) {
  const counts = new Map();
  for (const result of run.results) {
    counts.set(result.verdict, (counts.get(result.verdict) || 0) + 1);
  }
  return VERDICTS.filter((verdict) => counts.has(verdict))
    .map((verdict) => [verdict, counts.get(verdict)]);
}

function showVerdicts(run, wanted, changed) {
  const proportions = byId("proportions");
  const counts = countVerdicts(run);
  for (const [verdict, number] of counts) {
    const piece = element("span", {"data-verdict": verdict});
    piece.style.flexGrow = number;
    proportions.append(piece);
    const chip = element("button.chip", {type: "button", "data-verdict": verdict,
      "aria-pressed": "false", onclick: () => {
        const pressed = !wanted.has(verdict);
        if (pressed) wanted.add(verdict);
        else wanted.delete(verdict);
        chip.setAttribute("aria-pressed", String(pressed));
        changed();
      }}, count(number) + " " + VERDICT_WORDS[verdict]);
    byId("verdicts").append(chip);
  }
  proportions.setAttribute("aria-label", counts.map(([verdict, number]) =>
    number + " " + VERDICT_WORDS[verdict]).join(", "));
}

function begin() {
  const run = readRun(byId("run-data").textContent);
  run.begun = run.results.reduce((least, result) =>
    Math.min(least, result.attempts[0].begun), Infinity);
  const wanted = new Set();
  const input = byId("filter");

  const chosen = byId("chosen");
  const open = (result, scroll) => {
    chosen.replaceChildren(
      element("div.chosen-head", {}, badge(result.verdict),
        element("h3", {}, shown(result.test.name)),
        element("button", {type: "button", onclick: () => chosen.replaceChildren()},
          "Close"),
        element("span.of", {}, shown(result.test.target))),
      detailsElement(run, result));
    if (scroll) {
      timeline.choose(result);
      byId("timeline-title").scrollIntoView({block: "start"});
      byId("timeline").focus({preventScroll: true});
    }
  };
  const openFromList = (result) => open(result, true);
  const timeline = makeTimeline(byId("timeline"), byId("tip"), run,
    (result) => open(result, false));

  const show = () => {
    const matches = matcher(input.value, wanted);
    const results = run.results.filter(matches);
    byId("matches").textContent = results.length === run.results.length ? "" :
      count(results.length) + " of " + plural(run.results.length, "test");
    timeline.filter(matches);
    showFailures(run, byId("failure-list"), results);
    showSlowest(run, byId("slowest"), results, openFromList);
    showChanges(run, byId("changes"), results, openFromList);
    showAll(run, byId("all"), results, openFromList);
    window.testRun.shown = input.value.trim();
  };

  showHead(run);
  showVerdicts(run, wanted, show);
  showTargets(run, byId("targets"));
  useTheme(byId("theme"), () => timeline.recolour());
  byId("zoom-in").addEventListener("click", timeline.zoomIn);
  byId("zoom-out").addEventListener("click", timeline.zoomOut);
  byId("zoom-fit").addEventListener("click", timeline.fit);
  let waiting = 0;
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(show, 80);
  });
  // For tests, and for whoever is curious.
  window.testRun = {run, timeline, shown: ""};
  show();
}

document.addEventListener("DOMContentLoaded", begin);
