// The timeline: a row for each slot, a bar for each attempt.

const AXIS_HEIGHT = 22;
const LABEL_WIDTH = 46;
const SMALLEST_SPAN_US = 20;

// choose(result): a bar was chosen. Drawn when there is something new only.
function makeTimeline(canvas, tip, run, choose) {
  const bars = [];
  for (const result of run.results) {
    result.attempts.forEach((attempt, number) => {
      bars.push({result, attempt, number, lane: 0, begun: 0, ended: 0});
    });
  }
  const prepared = run.targets.filter((t) => t.ended_ns > t.begun_ns && t.begun_ns);
  let origin = Infinity;
  for (const bar of bars) origin = Math.min(origin, bar.attempt.begun);
  for (const target of prepared) origin = Math.min(origin, target.begun_ns / 1000);
  if (!Number.isFinite(origin)) origin = 0;
  const slots = [...new Set(bars.map((bar) => bar.attempt.slot))]
    .sort((a, b) => a - b);
  const laneOf = new Map(slots.map((slot, i) => [slot, i]));
  const lanes = slots.map(() => []);
  let end = 1;
  for (const bar of bars) {
    bar.lane = laneOf.get(bar.attempt.slot);
    bar.begun = bar.attempt.begun - origin;
    bar.ended = Math.max(bar.attempt.ended - origin, bar.begun);
    lanes[bar.lane].push(bar);
    end = Math.max(end, bar.ended);
  }
  for (const lane of lanes) lane.sort((a, b) => a.begun - b.begun);
  const preparation = prepared.map((target) => ({target,
    begun: target.begun_ns / 1000 - origin, ended: target.ended_ns / 1000 - origin}));
  for (const one of preparation) end = Math.max(end, one.ended);

  const preparationRows = preparation.length > 0 ? 1 : 0;
  const rows = lanes.length + preparationRows;
  const rowHeight = rows > 24 ? 12 : rows > 12 ? 18 : 26;
  const view = {from: 0, to: end};
  let matches = () => true;
  let chosen = null;
  let colours = {};
  let width = 0;
  let scheduled = false;

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ink", "muted", "line", "panel", "raised", "accent",
      "pass-soft", ...VERDICTS]) {
      colours[name] = style.getPropertyValue("--" + name).trim();
    }
  }

  function xOf(us) {
    const room = width - LABEL_WIDTH;
    return LABEL_WIDTH + (us - view.from) / (view.to - view.from) * room;
  }

  function timeAt(x) {
    const room = width - LABEL_WIDTH;
    return view.from + (x - LABEL_WIDTH) / room * (view.to - view.from);
  }

  function yOf(lane) {
    return AXIS_HEIGHT + (lane + preparationRows) * rowHeight;
  }

  function drawAxis(context) {
    const span = view.to - view.from;
    const most = Math.max(2, Math.floor((width - LABEL_WIDTH) / 90));
    let step = Math.pow(10, Math.floor(Math.log10(span / most)));
    for (const factor of [1, 2, 5, 10]) {
      if (span / (step * factor) <= most) {
        step *= factor;
        break;
      }
    }
    context.fillStyle = colours.muted;
    context.strokeStyle = colours.line;
    context.textBaseline = "middle";
    for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
      const x = Math.round(xOf(at)) + .5;
      context.beginPath();
      context.moveTo(x, AXIS_HEIGHT - 4);
      context.lineTo(x, AXIS_HEIGHT + rows * rowHeight);
      context.stroke();
      const label = axisLabel(at, step);
      const room = context.measureText(label).width;
      const from = Math.min(x + 3, width - room);
      if (from >= x) context.fillText(label, from, AXIS_HEIGHT / 2);
    }
  }

  function axisLabel(us, step) {
    if (step >= 1e6) return Math.round(us / 1e6) + " s";
    if (step >= 1e3 && view.to >= 1e6) {
      return (us / 1e6).toFixed(Math.max(0, Math.ceil(-Math.log10(step / 1e6)))) + " s";
    }
    if (step >= 1e3) return Math.round(us / 1e3) + " ms";
    return (us / 1e3).toFixed(Math.max(0, Math.ceil(-Math.log10(step / 1e3)))) + " ms";
  }

  function drawBar(context, bar, index) {
    const left = xOf(bar.begun);
    const right = xOf(bar.ended);
    if (right < LABEL_WIDTH || left > width) return;
    const verdict = bar.attempt.verdict;
    const bad = isBad(verdict);
    const x = Math.max(left, LABEL_WIDTH);
    // A gap tells neighbours apart where there is room for it.
    const gap = right - left > 4 ? 1 : 0;
    const w = Math.max(Math.min(right, width) - x - gap, bad ? 3 : 1);
    const y = yOf(bar.lane) + 2;
    const h = rowHeight - 4;
    context.globalAlpha = matches(bar.result) ? 1 : .16;
    context.fillStyle = verdict === "pass" && index % 2 === 1 ?
      colours["pass-soft"] : colours[verdict];
    context.fillRect(x, y, w, h);
    // What went wrong is told by more than its colour.
    if (bad && h >= 10) {
      context.fillStyle = colours.panel;
      context.fillRect(x, y + h - 4, w, 1.5);
    }
    if (bar === chosen) {
      context.globalAlpha = 1;
      context.strokeStyle = colours.ink;
      context.lineWidth = 2;
      context.strokeRect(x, y, Math.max(w, 2), h);
      context.lineWidth = 1;
    }
    if (w > 60 && h >= 14) {
      context.save();
      context.beginPath();
      context.rect(x, y, w - 4, h);
      context.clip();
      context.fillStyle = colours.panel;
      context.textBaseline = "middle";
      context.fillText(shown(bar.result.test.name), x + 5, y + h / 2);
      context.restore();
    }
    context.globalAlpha = 1;
  }

  function draw() {
    scheduled = false;
    const ratio = window.devicePixelRatio || 1;
    width = canvas.clientWidth;
    const height = AXIS_HEIGHT + Math.max(rows, 1) * rowHeight + 4;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = height + "px";
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    drawAxis(context);
    context.fillStyle = colours.muted;
    context.textBaseline = "middle";
    if (preparationRows > 0) {
      context.fillText("set-up", 0, yOf(-1) + rowHeight / 2);
      for (const one of preparation) {
        const x = Math.max(xOf(one.begun), LABEL_WIDTH);
        const right = xOf(one.ended);
        if (right < LABEL_WIDTH || x > width) continue;
        context.fillStyle = colours.line;
        context.fillRect(x, yOf(-1) + 2, Math.max(right - x - 1, 1), rowHeight - 4);
      }
    }
    lanes.forEach((lane, i) => {
      context.fillStyle = colours.muted;
      context.fillText(lanes.length > 9 && rowHeight < 18 ? String(slots[i]) :
        "slot " + slots[i], 0, yOf(i) + rowHeight / 2);
      // What is bad comes last: nothing covers it.
      lane.forEach((bar, n) => {
        if (!isBad(bar.attempt.verdict)) drawBar(context, bar, n);
      });
      lane.forEach((bar, n) => {
        if (isBad(bar.attempt.verdict) || bar === chosen) drawBar(context, bar, n);
      });
    });
  }

  function redraw() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(draw);
  }

  // The bar at a place, or the nearest one within a finger's width.
  function barAt(x, y) {
    const lane = Math.floor((y - AXIS_HEIGHT) / rowHeight) - preparationRows;
    if (lane < 0 || lane >= lanes.length) return null;
    let best = null;
    let bestDistance = 12;
    for (const bar of lanes[lane]) {
      const left = xOf(bar.begun);
      const right = Math.max(xOf(bar.ended), left + 1);
      let distance = x < left ? left - x : x > right ? x - right : 0;
      if (isBad(bar.attempt.verdict)) distance -= 2;
      if (distance < bestDistance && matches(bar.result)) {
        best = bar;
        bestDistance = distance;
      }
    }
    return best;
  }

  function setView(from, to) {
    const span = Math.min(Math.max(to - from, SMALLEST_SPAN_US), end);
    from = Math.min(Math.max(from, 0), end - span);
    view.from = from;
    view.to = from + span;
    redraw();
  }

  function zoom(factor, around) {
    const middle = around === undefined ? (view.from + view.to) / 2 : around;
    setView(middle - (middle - view.from) / factor,
      middle + (view.to - middle) / factor);
  }

  function show(bar) {
    chosen = bar;
    if (bar.begun < view.from || bar.ended > view.to) {
      const span = view.to - view.from;
      const middle = (bar.begun + bar.ended) / 2;
      setView(middle - span / 2, middle + span / 2);
    }
    redraw();
  }

  function pick(bar) {
    if (!bar) return;
    show(bar);
    choose(bar.result, bar.attempt);
  }

  function showTip(event) {
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    const bar = event.pointerType === "mouse" ? barAt(x, event.clientY - box.top) : null;
    if (!bar) {
      tip.style.display = "none";
      return;
    }
    tip.textContent = BADGES[bar.attempt.verdict] + "  " +
      duration(bar.attempt.wall) + "  " + shown(bar.result.test.id);
    tip.style.display = "block";
    tip.style.top = yOf(bar.lane) + rowHeight + 4 + "px";
    tip.style.left = Math.max(0, Math.min(x, width - tip.offsetWidth)) + "px";
  }

  // --- pointers: a tap chooses, one finger or the mouse scrolls, two zoom ---
  const pointers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, event.clientX);
    moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (before === undefined) {
      showTip(event);
      return;
    }
    tip.style.display = "none";
    const usPerPixel = (view.to - view.from) / (width - LABEL_WIDTH);
    if (pointers.size === 1) {
      moved += Math.abs(event.clientX - before);
      if (moved > 6) {
        canvas.setPointerCapture(event.pointerId);
        const by = (before - event.clientX) * usPerPixel;
        setView(view.from + by, view.to + by);
      }
    } else if (pointers.size === 2) {
      const [other] = [...pointers].filter(([id]) => id !== event.pointerId)
        .map(([, x]) => x);
      const left = canvas.getBoundingClientRect().left;
      const was = Math.max(Math.abs(before - other), 10);
      const is = Math.max(Math.abs(event.clientX - other), 10);
      zoom(is / was, timeAt((event.clientX + other) / 2 - left));
      moved += 10;
    }
    pointers.set(event.pointerId, event.clientX);
  });
  canvas.addEventListener("pointerup", (event) => {
    const known = pointers.delete(event.pointerId);
    if (!known || moved > 6) return;
    const box = canvas.getBoundingClientRect();
    pick(barAt(event.clientX - box.left, event.clientY - box.top));
  });
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => {
    tip.style.display = "none";
  });
  canvas.addEventListener("wheel", (event) => {
    const span = view.to - view.from;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const x = event.clientX - canvas.getBoundingClientRect().left;
      zoom(Math.exp(-event.deltaY / 300), timeAt(x));
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) && span < end) {
      event.preventDefault();
      const by = event.deltaX / (width - LABEL_WIDTH) * span;
      setView(view.from + by, view.to + by);
    }
  }, {passive: false});

  // --- keys ---
  function nearest(lane, time) {
    let best = null;
    for (const bar of lanes[lane]) {
      if (!best || Math.abs(bar.begun - time) < Math.abs(best.begun - time)) best = bar;
    }
    return best;
  }
  function step(key) {
    if (lanes.length === 0) return;
    if (!chosen) return pick(lanes[0][0]);
    const lane = lanes[chosen.lane];
    const at = lane.indexOf(chosen);
    if (key === "ArrowRight") pick(lane[at + 1]);
    if (key === "ArrowLeft") pick(lane[at - 1]);
    if (key === "Home") pick(lane[0]);
    if (key === "End") pick(lane[lane.length - 1]);
    const other = chosen.lane + (key === "ArrowDown" ? 1 : key === "ArrowUp" ? -1 : 0);
    if (other !== chosen.lane && lanes[other]) pick(nearest(other, chosen.begun));
  }
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]
      .includes(event.key)) {
      step(event.key);
    } else if (event.key === "+" || event.key === "=") {
      zoom(1.5, chosen ? chosen.begun : undefined);
    } else if (event.key === "-") {
      zoom(1 / 1.5, chosen ? chosen.begun : undefined);
    } else if (event.key === "0") {
      setView(0, end);
    } else {
      return;
    }
    event.preventDefault();
  });

  new ResizeObserver(redraw).observe(canvas.parentElement);
  readColours();
  redraw();
  return {
    zoomIn: () => zoom(2, chosen ? chosen.begun : undefined),
    zoomOut: () => zoom(.5, chosen ? chosen.begun : undefined),
    fit: () => setView(0, end),
    recolour: () => {
      readColours();
      redraw();
    },
    filter: (predicate) => {
      matches = predicate;
      redraw();
    },
    choose: (result) => {
      const bar = bars.find((one) => one.result === result &&
        one.number === result.attempts.length - 1);
      if (bar) show(bar);
    },
    // For tests: where bars are, in the coordinates of the canvas.
    places: () => bars.map((bar) => ({id: bar.result.test.id,
      verdict: bar.attempt.verdict, x: (xOf(bar.begun) + xOf(bar.ended)) / 2,
      y: yOf(bar.lane) + rowHeight / 2})),
    view: () => ({...view, end}),
  };
}
