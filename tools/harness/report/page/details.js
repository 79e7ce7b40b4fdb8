// One test in full.

// More of an output is shown when somebody asks for it.
const OUTPUT_AT_FIRST = 40000;

function outputElement(name, captured) {
  let text = captured.head;
  if (captured.dropped_bytes > 0) {
    text += (text.endsWith("\n") ? "" : "\n") +
      "[... " + count(captured.dropped_bytes) + " bytes left out ...]\n";
  }
  text += captured.tail;
  if (text === "") return [];
  const pre = element("pre", {tabindex: "0", "aria-label": name});
  const parts = [element("h5", {}, name), pre];
  if (text.length > OUTPUT_AT_FIRST) {
    const half = OUTPUT_AT_FIRST / 2;
    pre.textContent = shown(text.slice(0, half)) +
      "\n[... " + count(text.length - OUTPUT_AT_FIRST) + " characters ...]\n" +
      shown(text.slice(-half));
    const button = element("button", {type: "button", onclick: () => {
      pre.textContent = shown(text);
      button.remove();
    }}, "Show all " + count(text.length) + " characters");
    parts.push(button);
  } else {
    pre.textContent = shown(text);
  }
  return parts;
}

function fact(name, value) {
  if (value === "" || value === null || value === undefined) return null;
  return element("div", {}, element("dt", {}, name), element("dd.number", {}, value));
}

function stepsElement(attempt) {
  if (!attempt.steps || attempt.steps.some((at) => at === null)) return null;
  const [received, launchBegun, launched, started, ended] = attempt.steps;
  const all = attempt.ended - attempt.begun;
  if (all <= 0) return null;
  const steps = [["request", received], ["wait", launchBegun - received],
    ["fork", launched - launchBegun], ["set up", started - launched],
    ["test", ended - started], ["collect", all - ended]];
  const bar = element("div.steps", {"aria-hidden": "true"});
  for (const [name, us] of steps) {
    const piece = element(name === "test" ? "span.run" : "span", {});
    piece.style.flexGrow = Math.max(us, 0) / all;
    bar.append(piece);
  }
  const text = steps.map(([name, us]) => name + "\u00a0" + duration(Math.max(us, 0)));
  return element("div", {}, bar, element("p.muted.small.number", {}, text.join(", ")));
}

function failureElements(failure) {
  const where = place(failure.file, failure.line);
  const heading = [where && element("span.place.mono", {}, where),
    failure.where && " in " + shown(failure.where)].filter(Boolean);
  const parts = [];
  if (heading.length > 0) parts.push(element("h5", {}, ...heading));
  parts.push(element("pre.failure", {}, shown(failure.message)));
  return parts;
}

function attemptElement(result, number, details) {
  const attempt = result.attempts[number];
  const body = element("div.attempt", {});
  if (result.attempts.length > 1) {
    body.append(element("h4", {}, "Attempt " + (number + 1) + " of " +
      result.attempts.length + ": " + VERDICT_WORDS[attempt.verdict] + ", " +
      duration(attempt.wall)));
  }
  const reason = details ? details.reason || details.skip_reason : attempt.reason;
  if (reason) body.append(element("p", {}, shown(reason)));
  if (details) {
    for (const failure of details.failures) body.append(...failureElements(failure));
    if (details.leaked.length > 0) {
      body.append(element("h5", {}, "Left behind"),
        element("pre", {}, shown(details.leaked.join("\n"))));
    }
    const stacks = details.backtrace.length > 0 ? details.backtrace :
      (details.exit && details.exit.stacks) || [];
    if (stacks.length > 0) {
      body.append(element("h5", {}, "Backtrace"),
        element("pre", {tabindex: "0", "aria-label": "Backtrace"},
          shown(stacks.join("\n"))));
    }
    body.append(...outputElement("Standard output", details.stdout),
      ...outputElement("Standard error", details.stderr));
  }
  const steps = stepsElement(attempt);
  if (steps) body.append(steps);
  return body;
}

function lastRunText(result) {
  const before = result.test.last_wall_us;
  return before ? duration(before) : "not known";
}

function detailsElement(run, result) {
  const test = result.test;
  const last = lastAttempt(result);
  const details = run.detailsOf(result);
  const body = element("div.body", {});
  result.attempts.forEach((_, number) => {
    body.append(attemptElement(result, number, details[number]));
  });
  body.append(element("dl.facts", {},
    fact("Time", duration(last.wall)),
    fact("Last run", lastRunText(result)),
    fact("Suite", shown(test.suite)),
    fact("Written in", shown(place(test.file, test.line))),
    fact("Tags", shown(test.tags.join(", "))),
    fact("Slot", String(last.slot)),
    fact("Began at", duration(last.begun - run.begun)),
    fact("Peak memory", last.rss ? bytes(last.rss) : ""),
    fact("CPU", last.user === undefined ? "" :
      duration(last.user + last.system))));
  return body;
}

// A heading that opens. The body is made when it is.
function testElement(run, result, open) {
  const last = lastAttempt(result);
  const reason = reasonOf(result);
  const summary = element("summary", {}, badge(result.verdict),
    element("h3.name", {}, shown(result.test.name)),
    element("span.time.muted.number", {}, duration(last.wall)),
    element("span.of", {}, shown(result.test.target)),
    reason ? element("span.why", {}, shown(reason)) : null);
  const made = element("details.test", {id: "result-" + result.index}, summary);
  const fill = () => {
    if (made.open && made.children.length === 1) {
      made.append(detailsElement(run, result));
    }
  };
  made.addEventListener("toggle", fill);
  if (open) {
    made.open = true;
    fill();
  }
  return made;
}
