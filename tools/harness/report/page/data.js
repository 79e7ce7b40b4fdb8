"use strict";
// The data of the page: the lines of the element #run-data. The first character
// of a line says what its JSON is:
//   T  a target that was made ready       P  the plan, with all tests
//   R  a result: [test, verdict, attempts]
//   D  details of the result before it    W  a warning
//   S  the summary; not there when the run was killed
// A last line that is not complete is left out.

function parseAttempt(row) {
  const [slot, begun, ended, wall, verdict, reason, rss, user, system, steps] = row;
  return {slot, begun, ended, wall, verdict, reason, rss, user, system,
    steps: steps || null};
}

function readRun(text) {
  const run = {targets: [], plan: null, tests: [], results: [], warnings: [],
    summary: null, details: new Map()};
  let from = 0;
  while (from < text.length) {
    let to = text.indexOf("\n", from);
    if (to < 0) to = text.length;
    const kind = text[from];
    const begin = from + 1;
    from = to + 1;
    // Megabytes of output: read when somebody looks at them.
    if (kind === "D") {
      run.details.set(run.results.length - 1, [begin, to]);
      continue;
    }
    if (!"TPRWS".includes(kind)) continue;
    let value;
    try {
      value = JSON.parse(text.slice(begin, to));
    } catch {
      continue;
    }
    if (kind === "T") run.targets.push(value);
    if (kind === "W") run.warnings.push(value);
    if (kind === "S") run.summary = value;
    if (kind === "P") {
      run.plan = value;
      run.tests = value.tests;
    }
    if (kind === "R" && run.tests[value[0]]) {
      run.results.push({
        index: run.results.length,
        test: run.tests[value[0]],
        verdict: value[1],
        attempts: value[2].map(parseAttempt),
      });
    }
  }
  run.detailsOf = (result) => {
    const range = run.details.get(result.index);
    if (!range) return [];
    try {
      return JSON.parse(text.slice(...range));
    } catch {
      return [];
    }
  };
  return run;
}

// Where its time is: the last attempt.
function lastAttempt(result) {
  return result.attempts[result.attempts.length - 1];
}

// Why it has its verdict; of a flaky test why it had failed at first.
function reasonOf(result) {
  const last = lastAttempt(result);
  return last.reason || result.attempts[0].reason;
}

const VERDICTS = ["fail", "crash", "timeout", "leak", "infrastructure", "flaky",
  "skip", "pass"];

function isBad(verdict) {
  return verdict !== "pass" && verdict !== "skip" && verdict !== "flaky";
}

// Words of a filter, all of which must be in what is known of a test.
function matcher(text, verdicts) {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word);
  return (result) => {
    if (verdicts.size > 0 && !verdicts.has(result.verdict)) return false;
    if (words.length === 0) return true;
    if (result.searched === undefined) {
      const test = result.test;
      result.searched = [test.id, test.suite, test.file, test.tags.join(" "),
        result.verdict].join("\n").toLowerCase();
    }
    return words.every((word) => result.searched.includes(word));
  };
}
