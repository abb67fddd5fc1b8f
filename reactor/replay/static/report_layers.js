"use strict";

// What is drawn on the chart besides the price: bands, risk, levels, markers and their labels. All
// functions draw on a canvas through a `Pane`, which turns moments and prices into device pixels.

const STOP_DASHES = { stop_loss: [], break_even: [9, 3], trailing_stop: [], manual: [2, 3] };
const STOP_REASONS = new Set(["stop_loss", "break_even", "trailing_stop"]);
const EPOCH_PIXELS_FOR_LABELS = 150;
const EPOCH_PIXELS_FOR_TARGETS = 12;
const EPOCH_PIXELS_FOR_RESULT = 26;
const RESULTS_MAX = 24;
const EDGE_LABELS_MAX = 4;

function themeOf(root) {
  const style = getComputedStyle(root);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ground: colour("card"), text: colour("text"), soft: colour("soft"), grid: colour("grid"),
    price: colour("price"), entry: colour("entry"), target: colour("target"), risk: colour("risk"),
    locked: colour("locked"), other: colour("other"), note: colour("note"), focus: colour("focus"),
    stops: {
      stop_loss: colour("stop-loss"), break_even: colour("break-even"),
      trailing_stop: colour("trailing-stop"), manual: colour("manual"),
    },
    shades: SHADE_KEYS.map((_, index) => colour(`shade-${index}`)),
    font: getComputedStyle(document.body).fontFamily,
  };
}

class Pane {
  constructor(plot, theme) {
    const { left, top, width, height } = plot.bbox;
    Object.assign(this, { plot, theme, ctx: plot.ctx, left, top, width, height });
    this.right = left + width;
    this.bottom = top + height;
    this.dpr = devicePixelRatio || 1;
    this.from = plot.scales.x.min;
    this.to = plot.scales.x.max;
    this.labels = [];
  }

  x(moment) { return this.left + ((moment - this.from) / (this.to - this.from)) * this.width; }

  y(price) { return this.plot.valToPos(price, "y", true); }

  // Clipped to just outside of the plot: canvases lose precision far away.
  xIn(moment) { return Math.min(Math.max(this.x(moment), this.left - 20), this.right + 20); }

  shows(from, to) { return to >= this.from && from <= this.to; }

  holds(y) { return y >= this.top - 1 && y <= this.bottom + 1; }

  clipped(draw) {
    this.ctx.save();
    this.ctx.beginPath();
    this.ctx.rect(this.left, this.top, this.width, this.height);
    this.ctx.clip();
    draw();
    this.ctx.restore();
  }

  line(path, colour, width, dash = []) {
    const { ctx, dpr } = this;
    ctx.strokeStyle = colour;
    ctx.lineWidth = width * dpr;
    ctx.setLineDash(dash.map((length) => length * dpr));
    ctx.stroke(path);
    ctx.setLineDash([]);
  }

  // Text with a halo of the ground, unless it would cover a label that is there already.
  label(text, x, y, colour, { align = "left", bold = false } = {}) {
    const { ctx, dpr } = this;
    ctx.font = `${bold ? "600 " : ""}${11 * dpr}px ${this.theme.font}`;
    const width = ctx.measureText(text).width;
    const start = align === "left" ? x : align === "right" ? x - width : x - width / 2;
    const left = Math.min(Math.max(start, this.left + 4 * dpr), this.right - width - 4 * dpr);
    const middle = Math.min(Math.max(y, this.top + 8 * dpr), this.bottom - 8 * dpr);
    const box = [left - 3 * dpr, middle - 7 * dpr, left + width + 3 * dpr, middle + 7 * dpr];
    const covers = this.labels.some((other) =>
      box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]);
    if (covers) return;
    this.labels.push(box);
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.lineJoin = "round";
    ctx.lineWidth = 4 * dpr;
    ctx.strokeStyle = this.theme.ground;
    ctx.strokeText(text, left, middle);
    ctx.fillStyle = colour;
    ctx.fillText(text, left, middle);
  }
}

function drawShades(pane, shades, colours) {
  for (const shade of shades) {
    if (!pane.shows(shade.from, shade.to)) continue;
    const left = Math.round(pane.xIn(shade.from));
    pane.ctx.fillStyle = pane.theme.shades[colours.get(shade.key)];
    pane.ctx.fillRect(left, pane.top, Math.round(pane.xIn(shade.to)) - left, pane.height);
  }
}

// Calls `visit(x0, x1, price, step)` for every stretch of a stop that is in view, one per pixel column.
function eachStretch(pane, epoch, visit) {
  const times = epoch.stopTimes;
  const end = Math.min(epoch.end, pane.to);
  let step = Math.max(countUntil(times, pane.from) - 1, 0);
  while (step < times.length && times[step] <= pane.to) {
    const x0 = Math.round(pane.xIn(times[step]));
    let next = step + 1;
    // Of several moves within one pixel only the last would be seen.
    while (next < times.length && times[next] <= end && Math.round(pane.xIn(times[next])) === x0) {
      step = next;
      next += 1;
    }
    const until = next < times.length ? Math.min(times[next], epoch.end) : epoch.end;
    visit(x0, Math.round(pane.xIn(until)), epoch.stopPrices[step], step);
    step = next;
  }
}

// Between entry and stop: what is at risk, or, once the stop is beyond the entry, what is locked in.
function drawRisk(pane, epoch) {
  if (epoch.entryPrice === null || !pane.shows(epoch.from, epoch.end)) return;
  const entry = pane.y(epoch.entryPrice);
  const risk = new Path2D();
  const locked = new Path2D();
  eachStretch(pane, epoch, (x0, x1, stop) => {
    const beyond = epoch.long ? stop > epoch.entryPrice : stop < epoch.entryPrice;
    (beyond ? locked : risk).rect(x0, entry, x1 - x0, pane.y(stop) - entry);
  });
  pane.ctx.fillStyle = pane.theme.risk;
  pane.ctx.fill(risk);
  pane.ctx.fillStyle = pane.theme.locked;
  pane.ctx.fill(locked);
}

function drawStop(pane, epoch) {
  if (!pane.shows(epoch.from, epoch.end)) return;
  const paths = new Map();
  const starts = [];
  let before = null;
  eachStretch(pane, epoch, (x0, x1, stop, step) => {
    const kind = kindOf(epoch, step);
    const y = pane.y(stop);
    if (!paths.has(kind)) paths.set(kind, new Path2D());
    const path = paths.get(kind);
    path.moveTo(x0, before === null ? y : before.y);
    path.lineTo(x0, y);
    path.lineTo(x1, y);
    if (before === null || before.kind !== kind) starts.push({ kind, x: Math.max(x0, pane.left), y });
    starts[starts.length - 1].until = x1;
    before = { y, kind };
  });
  for (const [kind, path] of paths) {
    const colour = pane.theme.stops[kind] ?? pane.theme.stops.manual;
    pane.line(path, colour, kind === "trailing_stop" ? 2.25 : 1.75, STOP_DASHES[kind] ?? [2, 3]);
  }
  return starts;
}

// With both sides in one picture a level says whose it is.
const sided = (pane, epoch, text) => (pane.namesSides ? `${epoch.side} ${text}` : text);

function labelStop(pane, epoch, starts) {
  for (const { kind, x, y, until } of starts ?? []) {
    if (until - x < 76 * pane.dpr || !pane.holds(y)) continue;
    const below = (epoch.long ? 11 : -11) * pane.dpr;
    pane.label(sided(pane, epoch, words(kind)), x + 5 * pane.dpr, y + below, pane.theme.stops[kind] ?? pane.theme.text);
  }
}

// Dashes shorter than this are specks that hide the price.
const hasTargetsDrawn = (epoch, pixelsPerMoment) =>
  (epoch.end - epoch.from) * pixelsPerMoment >= EPOCH_PIXELS_FOR_TARGETS || epoch.to === null;

function drawTargets(pane, epoch) {
  if (!hasTargetsDrawn(epoch, pane.width / pane.dpr / (pane.to - pane.from))) return;
  const path = new Path2D();
  const ends = new Path2D();
  for (const target of epoch.targets) {
    const end = target.taken ?? epoch.end;
    if (target.value === null || !pane.shows(epoch.from, end)) continue;
    const y = Math.round(pane.y(target.value)) + 0.5;
    if (!pane.holds(y)) continue;
    path.moveTo(pane.xIn(epoch.from), y);
    path.lineTo(pane.xIn(end), y);
    if (target.taken !== null) {
      ends.moveTo(pane.xIn(end), y - 5 * pane.dpr);
      ends.lineTo(pane.xIn(end), y + 5 * pane.dpr);
    }
  }
  pane.line(path, pane.theme.target, 1.5, [6, 4]);
  pane.line(ends, pane.theme.target, 2);
}

function labelTargets(pane, epoch) {
  for (const target of epoch.targets) {
    if (target.value === null || !isWide(pane, epoch, target.taken ?? epoch.end)) continue;
    const y = pane.y(target.value);
    if (!pane.holds(y)) continue;
    const text = `${sided(pane, epoch, "target")} ${target.rung} · ${percent(target.fraction)} · ${target.price}`;
    pane.label(text, pane.xIn(epoch.from) + 5 * pane.dpr, y - 9 * pane.dpr, pane.theme.target);
  }
}

function drawEntry(pane, epoch) {
  if (epoch.entryPrice === null || !pane.shows(epoch.from, epoch.end)) return;
  const y = Math.round(pane.y(epoch.entryPrice)) + 0.5;
  const path = new Path2D();
  path.moveTo(pane.xIn(epoch.from), y);
  path.lineTo(pane.xIn(epoch.end), y);
  pane.line(path, pane.theme.entry, 1.25, [1, 3]);
}

function labelEntry(pane, epoch) {
  if (epoch.entryPrice === null || !isWide(pane, epoch, epoch.end)) return;
  const y = pane.y(epoch.entryPrice);
  if (!pane.holds(y)) return;
  const text = `${epoch.side} ${epoch.quantity} @ ${epoch.entry}`;
  const x = pane.xIn(epoch.from) + 10 * pane.dpr;
  const away = (epoch.long ? -10 : 10) * pane.dpr;
  pane.label(text, x, y + away, pane.theme.text, { bold: true });
}

function isWide(pane, epoch, end) {
  if (!pane.shows(epoch.from, end)) return false;
  return pane.xIn(end) - pane.xIn(epoch.from) >= EPOCH_PIXELS_FOR_LABELS * pane.dpr;
}

// Levels of an epoch that fills much of the view, above or below it: named at that edge, each nearer
// to the middle than what is farther away.
function drawOffscale(pane, epochs) {
  const above = [];
  const below = [];
  for (const epoch of epochs) {
    const moment = Math.min(pane.to, epoch.end);
    const seen = (moment - Math.max(pane.from, epoch.from)) / (pane.to - pane.from);
    if (seen < 0.4 || moment < (pane.from + pane.to) / 2) continue;
    const stop = stopAt(epoch, moment);
    const levels = openTargets(epoch, moment).map((target) => ({
      text: `${sided(pane, epoch, "target")} ${target.rung} · ${target.price}`, value: target.value, colour: pane.theme.target,
    }));
    if (stop) {
      levels.push({ text: `${sided(pane, epoch, words(stop.kind))} · ${stop.stop}`, value: Number(stop.stop),
        colour: pane.theme.stops[stop.kind] ?? pane.theme.text });
    }
    for (const level of levels) {
      const y = pane.y(level.value);
      if (y < pane.top) above.push({ ...level, y });
      if (y > pane.bottom) below.push({ ...level, y });
    }
  }
  above.sort((a, b) => b.y - a.y).slice(0, EDGE_LABELS_MAX).reverse().forEach((level, row) =>
    pane.label(`▲ ${level.text}`, pane.right, pane.top + (9 + 15 * row) * pane.dpr, level.colour, { align: "right" }));
  below.sort((a, b) => a.y - b.y).slice(0, EDGE_LABELS_MAX).reverse().forEach((level, row) =>
    pane.label(`▼ ${level.text}`, pane.right, pane.bottom - (9 + 15 * row) * pane.dpr, level.colour, { align: "right" }));
}

// The shape of a marker says why, its colour only repeats it.
function shapeOf(decision) {
  const reasons = decision.reasons ?? [];
  if (decision.type === "opened") return decision.side === "LONG" ? "up" : "down";
  if (decision.type === "note") return "note";
  if (decision.type === "closed") return "ring";
  if (reasons.some((reason) => STOP_REASONS.has(reason))) return "cross";
  if (reasons.includes("take_profit")) return "circle";
  if (reasons.includes("harvest")) return "diamond";
  return "square";
}

function colourOf(theme, decision) {
  const [reason] = decision.reasons ?? [];
  if (decision.type === "opened" || decision.type === "closed") return theme.text;
  if (decision.type === "note") return theme.note;
  if (theme.stops[reason]) return theme.stops[reason];
  return reason === "take_profit" || reason === "harvest" ? theme.target : theme.other;
}

function shapePath(shape, x, y, r) {
  const path = new Path2D();
  const corners = (...points) => {
    points.forEach(([dx, dy], index) => path[index ? "lineTo" : "moveTo"](x + dx * r, y + dy * r));
    path.closePath();
  };
  if (shape === "circle" || shape === "ring") path.arc(x, y, shape === "ring" ? r * 1.8 : r, 0, 2 * Math.PI);
  else if (shape === "diamond") corners([0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]);
  else if (shape === "up") corners([0, -0.4], [1.1, 1.5], [-1.1, 1.5]);
  else if (shape === "down") corners([0, 0.4], [1.1, -1.5], [-1.1, -1.5]);
  else if (shape === "cross") {
    corners([-1.2, -0.5], [-0.5, -1.2], [0, -0.7], [0.5, -1.2], [1.2, -0.5], [0.7, 0], [1.2, 0.5],
      [0.5, 1.2], [0, 0.7], [-0.5, 1.2], [-1.2, 0.5], [-0.7, 0]);
  } else corners([-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]);
  return path;
}

function drawMarks(pane, marks, radius, chosen) {
  const { ctx, dpr, theme } = pane;
  for (const { decision, x: moment, y: price } of marks) {
    const x = pane.x(moment);
    if (decision.type === "note") {
      const path = new Path2D();
      path.moveTo(x, pane.bottom - 12 * dpr);
      path.lineTo(x, pane.bottom);
      pane.line(path, theme.note, 2.5);
      continue;
    }
    if (price === null) continue;
    const shape = shapeOf(decision);
    const path = shapePath(shape, x, pane.y(price), radius * dpr);
    if (shape !== "ring") {
      pane.line(path, theme.ground, 3);
      ctx.fillStyle = colourOf(theme, decision);
      ctx.fill(path);
    } else if (radius > 4) pane.line(path, colourOf(theme, decision), 1.25);
    if (decision.index === chosen) {
      pane.line(shapePath("ring", x, pane.y(price), (radius + 2) * dpr), theme.focus, 2.5);
    }
  }
}

// What an epoch came to, beside its end.
function labelResults(pane, marks, epochs) {
  const few = marks.filter(({ decision }) => decision.type === "closed").length <= RESULTS_MAX;
  for (const { decision, x, y } of marks) {
    if (decision.type !== "closed" || y === null || !pane.holds(pane.y(y))) continue;
    const epoch = epochs[decision.epoch];
    const wide = pane.x(epoch.end) - pane.x(epoch.from) >= EPOCH_PIXELS_FOR_RESULT * pane.dpr;
    if (!few && !wide) continue;
    const result = epoch.r_multiple ?? epoch.realized;
    if (result === null) continue;
    const text = epoch.r_multiple === null ? signed(result) : multiple(result);
    const away = (epoch.long ? 19 : -19) * pane.dpr;
    const colour = Number(result) < 0 ? pane.theme.stops.stop_loss : pane.theme.text;
    pane.label(text, pane.x(x), pane.y(y) + away, colour, { align: "center", bold: true });
  }
}
