"use strict";

// The charts of a sweep: training against test, the distribution of R, and the sum of R over time.

const BINS_MAX = 60;
const NARROW = 560;
const HUGE = 1e299; // What an infinite measure is written as.

function themeOfSweep() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["text", "soft", "grid", "card", "train", "test", "fill", "fall", "focus", "edge"];
  return Object.fromEntries([...names.map((name) => [name, colour(name)]),
    ["font", getComputedStyle(document.body).fontFamily]]);
}

const shown = (value, digits = 3) => {
  if (value === null || value === undefined) return "–";
  if (value > HUGE) return "∞";
  return signed(value.toFixed(digits)).replace("-", "−");
};

const ROUND_STEPS = [1, 2, 2.5, 5].flatMap((unit) => Array.from({ length: 12 }, (_, power) => unit * 10 ** (power - 5)))
  .sort((one, other) => one - other);

function axis(theme, more = {}) {
  return {
    stroke: () => theme.soft,
    grid: { stroke: () => theme.grid, width: 1 },
    ticks: { stroke: () => theme.grid, width: 1, size: 4 },
    font: `12px ${theme.font}`,
    labelFont: `12px ${theme.font}`,
    incrs: ROUND_STEPS,
    values: (_, values, __, ___, step) => values.map((value) => value.toFixed(decimals(step)).replace("-", "−")),
    ...more,
  };
}

// A step of a time axis in seconds, as text.
function moments(_, seconds, __, ___, step) {
  return timeLabels(seconds.map((second) => second * MICROSECONDS), step * MICROSECONDS);
}

const timeAxis = (theme, more = {}) => axis(theme, {
  incrs: TIME_STEPS.filter((step) => step >= MICROSECONDS).map((step) => step / MICROSECONDS),
  values: moments, space: 90, size: 42, ...more,
});

function padded(low, high, share = 0.06) {
  if (!(high > low)) return [low - 1, high + 1];
  return [low - (high - low) * share, high + (high - low) * share];
}

function line(plot, from, to, colour, dashes = []) {
  const { ctx } = plot;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = Math.max(1, devicePixelRatio);
  ctx.setLineDash(dashes.map((dash) => dash * devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(...from);
  ctx.lineTo(...to);
  ctx.stroke();
  ctx.restore();
}

const upright = (plot, x, colour, dashes) => {
  const at = plot.valToPos(x, "x", true);
  const { left, top, width, height } = plot.bbox;
  if (at >= left && at <= left + width) line(plot, [at, top], [at, top + height], colour, dashes);
};
const level = (plot, y, colour, dashes) => {
  const at = plot.valToPos(y, "y", true);
  const { left, top, width, height } = plot.bbox;
  if (at >= top && at <= top + height) line(plot, [left, at], [left + width, at], colour, dashes);
};

function dot(plot, x, y, radius, fill, stroke) {
  const { ctx } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.arc(plot.valToPos(x, "x", true), plot.valToPos(y, "y", true), radius * devicePixelRatio, 0, 2 * Math.PI);
  if (fill) { ctx.fillStyle = fill; ctx.fill(); }
  if (stroke) { ctx.strokeStyle = stroke; ctx.lineWidth = 2 * devicePixelRatio; ctx.stroke(); }
  ctx.restore();
}

class SweepCharts {
  constructor(session, places) {
    Object.assign(this, { session, places, plots: [] });
  }

  draw(row) {
    this.row = row;
    for (const plot of this.plots) plot.destroy();
    this.plots = [];
    this.theme = themeOfSweep();
    this.#scatter();
    const curve = row === null || row.curve === null ? null : this.session.curves[row.curve];
    for (const place of ["histogram", "equity", "drawdown"]) this.places[place].replaceChildren();
    if (curve === null || !curve.t.length) {
      this.places.histogram.append(element("p", { class: "empty" }, "No closed position to draw."));
      return;
    }
    this.#histogram(curve);
    this.#equity(curve);
  }

  #add(place, options, data, height) {
    const width = Math.max(this.places[place].clientWidth, 240);
    const plot = new uPlot({
      width, height, legend: { show: false }, padding: [10, 12, 0, 0],
      cursor: { drag: { x: false, y: false }, points: { show: false }, x: false, y: false },
      ...options,
    }, data, this.places[place]);
    this.plots.push(plot);
    return plot;
  }

  // ---- training against test ------------------------------------------------------------------

  #scatter() {
    const { session, theme } = this;
    const field = session.fields.indexOf(session.objective.field);
    const value = (row, part) => {
      const found = row[part][field];
      return found === null || found > HUGE ? null : found;
    };
    const rows = session.rows.filter((row) => value(row, "train") !== null && value(row, "test") !== null);
    this.places.scatter.replaceChildren();
    if (!session.has_test || !rows.length) {
      this.places.scatter.append(element("p", { class: "empty" }, session.has_test
        ? "No combination has both." : "Nothing tests: there is no second part to compare with."));
      return;
    }
    const points = rows.map((row) => [value(row, "train"), value(row, "test"), row]).sort((one, other) => one[0] - other[0]);
    const xs = points.map(([x]) => x);
    const ys = points.map(([, y]) => y);
    const what = session.objective.what.split(";")[0];
    this.#add("scatter", {
      scales: {
        x: { time: false, range: () => padded(Math.min(...xs), Math.max(...xs)) },
        y: { range: () => padded(Math.min(...ys), Math.max(...ys), 0.1) },
      },
      axes: [axis(theme, { label: `training: ${what}`, labelSize: 18, size: 26, space: 60 }),
        axis(theme, { label: "test", labelSize: 18, size: 52 })],
      series: [{}, { stroke: () => "transparent", paths: () => null, points: { show: false } }],
      hooks: {
        drawClear: [(plot) => {
          upright(plot, 0, theme.edge);
          level(plot, 0, theme.edge);
          this.#diagonal(plot);
        }],
        draw: [(plot) => {
          for (const [x, y] of points) dot(plot, x, y, points.length > 400 ? 1.6 : 3, theme.fill.replace(/[\d.]+%/, "60%"), null);
          const base = points.find(([, , row]) => row.base);
          if (base) dot(plot, base[0], base[1], 6, null, theme.soft);
          const best = points.find(([, , row]) => row.rank === 1);
          if (best) dot(plot, best[0], best[1], 6, theme.text, theme.card);
          const chosen = points.find(([, , row]) => row === this.row);
          if (chosen && chosen !== best) dot(plot, chosen[0], chosen[1], 6, null, theme.text);
        }],
      },
    }, [xs, ys], 300);
    this.places.scatterNote.textContent = `A dot is a combination, the filled one the best in training${
      session.rows.some((row) => row.base) ? ", the ringed one the base plan" : ""}; on the dashed line both parts are equal. A cloud that does not rise to the right says that training does not tell the test.`;
  }

  #diagonal(plot) {
    const { min, max } = plot.scales.x;
    const { left, top, width, height } = plot.bbox;
    const { ctx } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    line(plot, [left, plot.valToPos(min, "y", true)], [left + width, plot.valToPos(max, "y", true)], this.theme.edge, [5, 4]);
    ctx.restore();
  }

  // ---- distribution ---------------------------------------------------------------------------

  #histogram(curve) {
    const { theme, session } = this;
    const tests = new Set(curve.test);
    const parts = { train: curve.r.filter((_, at) => !tests.has(at)), test: curve.r.filter((_, at) => tests.has(at)) };
    const sorted = [...curve.r].sort((one, other) => one - other);
    const low = Math.floor(sorted[0]);
    const high = Math.ceil(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.995))]);
    const wide = [0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100].find((step) => (high - low) / step <= BINS_MAX) ?? (high - low) / BINS_MAX;
    const bins = Math.max(Math.ceil((high - low) / wide), 1);
    const edges = Array.from({ length: bins + 1 }, (_, at) => low + at * wide);
    const shares = (values) => {
      const counts = new Array(bins + 1).fill(0);
      for (const value of values) counts[Math.min(Math.max(Math.floor((value - low) / wide + 1e-9), 0), bins - 1)] += 1;
      return values.length ? counts.map((one, at) => (at === bins ? null : (100 * one) / values.length)) : counts.map(() => null);
    };
    const [train, test] = [shares(parts.train), shares(parts.test)];
    const stepped = uPlot.paths.stepped({ align: 1 });
    const last = (values) => { const copy = [...values]; copy[bins] = copy[bins - 1]; return copy; };
    const highest = Math.max(...train, ...test);
    this.#add("histogram", {
      scales: { x: { time: false, range: () => [edges[0], edges[bins]] }, y: { range: () => [0, highest * 1.08 || 1] } },
      axes: [axis(theme, { label: "R after fees", labelSize: 18, size: 26, space: 50 }),
        axis(theme, { label: "% of positions", labelSize: 18, size: 46 })],
      series: [{},
        { stroke: () => theme.train, fill: () => theme.fill, width: 1.5, paths: stepped, points: { show: false } },
        { stroke: () => theme.test, width: 2, paths: stepped, points: { show: false } }],
      hooks: { drawClear: [(plot) => upright(plot, 0, theme.soft, [4, 4])] },
    }, [edges, last(train), last(test)], 300);
    const clipped = curve.r.filter((value) => value >= edges[bins]).length;
    const text = [`Filled: training (${plural(parts.train.length, "position")}).`];
    if (session.has_test) text.push(`Line: test (${plural(parts.test.length, "position")}).`);
    if (clipped) text.push(`${plural(clipped, "result")} beyond ${plain(edges[bins])} R ${clipped === 1 ? "is" : "are"} in the last step.`);
    this.places.histogramNote.textContent = text.join(" ");
  }

  // ---- sum over time --------------------------------------------------------------------------

  #equity(curve) {
    const { theme, session } = this;
    const own = sums(curve);
    const base = this.#baseSums();
    const times = [...new Set([...own.t, ...(base ? base.t : [])])].sort((one, other) => one - other);
    const along = (found) => spreadOver(times, found);
    const ownLine = along(own);
    const baseLine = base ? along(base) : times.map(() => null);
    const cut = session.cut;
    const ofTest = times.map((time, at) => (cut !== null && time >= cut ? ownLine[at] : null));
    const ofTrain = times.map((time, at) => (cut === null || time < cut ? ownLine[at] : null));
    const all = [...ownLine, ...baseLine].filter((value) => value !== null);
    const x = { time: false, range: () => [times[0], Math.max(times[times.length - 1], times[0] + 1)] };
    const stepped = uPlot.paths.stepped({ align: 1 });
    const marks = { drawClear: [(plot) => { level(plot, 0, theme.edge); if (cut !== null) upright(plot, cut, theme.soft, [4, 4]); }] };
    const size = 54;
    this.#add("equity", {
      scales: { x, y: { range: () => padded(Math.min(0, ...all), Math.max(0, ...all)) } },
      axes: [timeAxis(theme), axis(theme, { size, label: "R", labelSize: 16 })],
      series: [{},
        { stroke: () => theme.soft, width: 1.3, dash: [5, 4], paths: stepped, points: { show: false } },
        { stroke: () => theme.train, width: 2, paths: stepped, points: { show: false } },
        { stroke: () => theme.test, width: 2, paths: stepped, points: { show: false } }],
      hooks: marks,
    }, [times, baseLine, ofTrain, ofTest], innerWidth < NARROW ? 240 : 300);
    const falls = spreadOver(times, { t: own.t, sum: own.fall });
    this.#add("drawdown", {
      scales: { x, y: { range: () => [Math.min(-1, ...falls.filter((value) => value !== null)) * 1.06, 0] } },
      axes: [timeAxis(theme), axis(theme, { size, label: "fall, R", labelSize: 16, space: 24 })],
      series: [{}, { stroke: () => theme.soft, fill: () => theme.fall, fillTo: 0, width: 1.2, paths: stepped, points: { show: false } }],
      hooks: marks,
    }, [times, falls], 130);
    this.places.equityNote.textContent = `One R at risk in each position, entries that overlap included; each part begins at 0.${
      cut === null ? "" : " The dashed upright is the cut: what was open there is in neither part."}`;
  }

  #baseSums() {
    const base = this.session.rows.find((row) => row.base && row.curve !== null);
    return base && base !== this.row ? sums(this.session.curves[base.curve]) : null;
  }
}

// The sum of R after each exit, and how far it is below its highest so far; both begin anew with the test.
function sums(curve) {
  const tests = new Set(curve.test);
  const found = { t: [], sum: [], fall: [] };
  let [time, sum, top, tested] = [0, 0, 0, false];
  curve.t.forEach((step, at) => {
    time += step;
    if (tests.has(at) && !tested) [sum, top, tested] = [0, 0, true];
    sum += curve.r[at];
    top = Math.max(top, sum);
    if (found.t[found.t.length - 1] === time) {
      found.sum[found.sum.length - 1] = sum;
      found.fall[found.fall.length - 1] = sum - top;
    } else {
      found.t.push(time);
      found.sum.push(sum);
      found.fall.push(sum - top);
    }
  });
  return found;
}

// A stepped line on more moments than its own.
function spreadOver(times, { t, sum }) {
  let at = -1;
  return times.map((time) => {
    while (at + 1 < t.length && t[at + 1] <= time) at += 1;
    return at < 0 ? null : sum[at];
  });
}
