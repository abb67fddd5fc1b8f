"use strict";

// One symbol's chart: price and levels, the overview below it, and moving about in both.

const NARROWEST_US = 200;
const NARROW_PIXELS = 560;
const HIT_PIXELS = 14;
const TIPS_MAX = 5;
const LAYERS = ["price", "stop", "targets", "entry", "risk", "exits", "notes"];

class SessionChart {
  constructor(session, places, onView) {
    Object.assign(this, { session, places, onView });
    this.layers = Object.fromEntries(LAYERS.map((layer) => [layer, true]));
    this.fitAll = false;
    this.side = null;
    this.chosen = null;
    this.exact = null;
    this.view = [...session.whole];
    this.colours = shadeColours(session);
    this.drawn = 0;
    this.tip = element("div", { class: "tip", hidden: "" });
    this.theme = themeOf(document.documentElement);
  }

  get epochs() {
    return this.chart.epochs.filter((epoch) => this.side === null || epoch.side === this.side);
  }

  get pixelsPerMoment() {
    return (this.places.chart.clientWidth - 90) / (this.view[1] - this.view[0]);
  }

  get marks() {
    return this.chart.marks.filter(({ decision }) =>
      (this.side === null || decision.side === undefined || decision.side === this.side)
      && this.layers[decision.type === "note" ? "notes" : "exits"]);
  }

  show(chart) {
    if (chart !== this.chart) this.side = null;
    this.chart = chart;
    this.chosen = null;
    this.rebuild();
  }

  // ---- building -------------------------------------------------------------------------------

  rebuild() {
    this.plot?.destroy();
    this.small?.destroy();
    this.places.overview.replaceChildren();
    const view = this.view;
    const { times, values } = this.chart;
    const data = times.length ? [times, values] : [this.session.whole, [null, null]];
    this.plot = new uPlot(this.#options(), data, this.places.chart);
    this.tip.classList.remove("below");
    this.tip.hidden = true;
    this.plot.over.append(this.tip);
    followFingers(this, this.plot.over);
    this.small = new uPlot(this.#overviewOptions(), data, this.places.overview);
    this.window = element("div", { class: "window" });
    this.small.over.append(this.window);
    followOverview(this, this.small.over);
    this.setView(...view);
  }

  #size() {
    const width = Math.max(this.places.chart.clientWidth, 240);
    return { width, height: width < NARROW_PIXELS ? 340 : Math.round(Math.min(Math.max(innerHeight * 0.56, 360), 640)) };
  }

  refresh() {
    this.setView(...this.view);
    this.plot.redraw();
    this.small.redraw();
  }

  resize(width = null) {
    const size = this.#size();
    this.plot.setSize({ ...size, width: width ?? size.width });
    this.small.setSize({ width: width ?? size.width, height: this.small.height });
  }

  restyle() {
    this.theme = themeOf(document.documentElement);
    this.plot.redraw(false, true);
    this.small.redraw(false, true);
  }

  #options() {
    const stepped = uPlot.paths.stepped({ align: 1 });
    return {
      ...this.#size(),
      legend: { show: false },
      padding: [10, 0, 0, 22],
      scales: {
        // Ranged before y, which looks at what is in view.
        x: { time: false, range: (_, from, to) => (this.view = this.#clamp(from, to)) },
        y: { range: () => heights(this) },
      },
      axes: [this.#timeAxis(), this.#priceAxis()],
      series: [{}, {
        stroke: () => this.theme.price, width: 1.4, paths: stepped, points: { show: false },
      }],
      cursor: {
        drag: { x: true, y: false, dist: 6 },
        points: { show: false },
        bind: {
          dblclick: () => () => { this.whole(); return null; },
          mousemove: (_, __, follow) => this.#unlessHeld(follow),
          mouseleave: (_, __, follow) => this.#unlessHeld(follow),
        },
      },
      hooks: {
        drawClear: [(plot) => this.#drawBehind(plot)],
        draw: [(plot) => this.#drawBefore(plot)],
        setCursor: [(plot) => this.#onCursor(plot)],
        setScale: [(plot, key) => { if (key === "x") this.#onView(plot); }],
      },
    };
  }

  // A page that scrolls under a resting mouse sends moves too: they must not take the cursor away from
  // the moment that a table or a key has just put it on.
  #unlessHeld(follow) {
    return (event) => {
      if (this.exact !== null && event.movementX === 0 && event.movementY === 0) return null;
      this.exact = null;
      return follow(event);
    };
  }

  #timeAxis() {
    const base = this.session.baseUs;
    return {
      stroke: () => this.theme.soft,
      grid: { stroke: () => this.theme.grid, width: 1 },
      ticks: { stroke: () => this.theme.grid, width: 1, size: 5 },
      font: `12px ${this.theme.font}`,
      incrs: TIME_STEPS,
      space: 84,
      size: 44,
      splits: (_, axis, from, to, step) => {
        const first = Math.ceil((base + from) / step) * step;
        const moments = [];
        for (let moment = first; moment <= base + to; moment += step) moments.push(moment - base);
        return moments;
      },
      values: (_, moments, axis, space, step) => timeLabels(moments.map((moment) => base + moment), step),
    };
  }

  #priceAxis() {
    return {
      side: 1,
      stroke: () => this.theme.soft,
      grid: { stroke: () => this.theme.grid, width: 1 },
      ticks: { stroke: () => this.theme.grid, width: 1, size: 5 },
      font: `12px ${this.theme.font}`,
      space: 36,
      size: (plot, labels) => 18 + 7.4 * Math.max(4, ...(labels ?? []).map((label) => label.length)),
      values: (_, prices, axis, space, step) => prices.map((price) => price.toFixed(decimals(step))),
    };
  }

  #overviewOptions() {
    return {
      width: this.#size().width,
      height: 64,
      legend: { show: false },
      padding: [4, 0, 4, 8],
      scales: {
        x: { time: false, range: () => this.session.whole },
        y: { range: (_, low, high) => (high > low ? [low - (high - low) * 0.12, high + (high - low) * 0.12] : [low - 1, low + 1]) },
      },
      axes: [{ show: false }, { show: false }],
      series: [{}, { stroke: () => this.theme.soft, width: 1, points: { show: false } }],
      cursor: { show: false },
      hooks: { draw: [(plot) => this.#drawOverview(plot)] },
    };
  }

  // ---- view -----------------------------------------------------------------------------------

  #clamp(from, to) {
    const [first, last] = this.session.whole;
    const width = Math.min(Math.max(to - from, NARROWEST_US), last - first);
    const start = Math.min(Math.max((from + to - width) / 2, first), last - width);
    return [start, start + width];
  }

  setView(from, to) {
    const [min, max] = this.#clamp(from, to);
    this.view = [min, max];
    this.plot.setScale("x", { min, max });
  }

  whole() { this.rest(); this.setView(...this.session.whole); }

  // No moment is pointed at any more.
  rest() {
    this.chosen = null;
    this.exact = null;
    this.plot.setCursor({ left: -10, top: -10 });
  }

  // A factor below 1 zooms in; around a moment, or the middle.
  zoom(factor, around = null) {
    const [from, to] = this.view;
    const centre = around ?? (from + to) / 2;
    this.setView(centre - (centre - from) * factor, centre + (to - centre) * factor);
  }

  // By a share of what is seen, to the right where it is positive.
  pan(share) {
    const [from, to] = this.view;
    const by = (to - from) * share;
    const [first, last] = this.session.whole;
    const held = Math.min(Math.max(by, first - from), last - to);
    this.setView(from + held, to + held);
  }

  #onView(plot) {
    this.view = [plot.scales.x.min, plot.scales.x.max];
    const [first, last] = this.session.whole;
    const share = (moment) => (100 * (moment - first)) / (last - first);
    if (!this.window) return;
    this.window.style.left = `${share(this.view[0])}%`;
    this.window.style.width = `${share(this.view[1]) - share(this.view[0])}%`;
    this.onView?.();
  }

  // ---- drawing --------------------------------------------------------------------------------

  #drawBehind(plot) {
    const pane = new Pane(plot, this.theme);
    pane.clipped(() => {
      drawShades(pane, this.chart.shades, this.colours);
      if (this.layers.risk) this.epochs.forEach((epoch) => drawRisk(pane, epoch));
    });
  }

  #drawBefore(plot) {
    const pane = new Pane(plot, this.theme);
    const { layers, epochs } = this;
    const seen = this.marks.filter((mark) => mark.x >= pane.from && mark.x <= pane.to);
    const density = pane.width / pane.dpr / Math.max(seen.length, 1);
    pane.namesSides = this.side === null && this.chart.sides.length > 1;
    // Where hundreds stand side by side, openings would hide the exits.
    const marked = density < 4 ? seen.filter(({ decision }) => decision.type !== "opened") : seen;
    pane.clipped(() => {
      if (layers.entry) epochs.forEach((epoch) => drawEntry(pane, epoch));
      if (layers.targets) epochs.forEach((epoch) => drawTargets(pane, epoch));
      const starts = layers.stop ? epochs.map((epoch) => drawStop(pane, epoch)) : [];
      drawMarks(pane, marked, density < 4 ? 3 : density < 12 ? 4 : 5.5, this.chosen);
      labelResults(pane, seen, this.session.epochs);
      if (layers.entry) epochs.forEach((epoch) => labelEntry(pane, epoch));
      if (layers.stop) epochs.forEach((epoch, index) => labelStop(pane, epoch, starts[index]));
      if (layers.targets) epochs.forEach((epoch) => labelTargets(pane, epoch));
      drawOffscale(pane, epochs);
    });
    this.drawn += 1;
    document.documentElement.dataset.drawn = String(this.drawn);
  }

  #drawOverview(plot) {
    const pane = new Pane(plot, this.theme);
    const { ctx, dpr } = pane;
    for (const epoch of this.epochs) {
      const left = pane.x(epoch.from);
      const top = epoch.long ? pane.bottom - 4 * dpr : pane.top;
      ctx.fillStyle = this.theme.target;
      ctx.fillRect(left, top, Math.max(pane.x(epoch.end) - left, dpr), 4 * dpr);
    }
    for (const { decision, x } of this.marks) {
      if (decision.type !== "exit") continue;
      ctx.fillStyle = colourOf(this.theme, decision);
      ctx.fillRect(pane.x(x) - dpr, pane.bottom - 15 * dpr, 2 * dpr, 10 * dpr);
    }
  }

  // ---- cursor, tip ----------------------------------------------------------------------------

  #onCursor(plot) {
    const { left, top } = plot.cursor;
    const inside = left !== undefined && left !== null && left >= 0;
    const exact = this.exact !== null && this.exact.from === this.view[0] && Math.abs(this.exact.left - left) < 1;
    const moment = !inside ? null : exact ? this.exact.moment : plot.posToVal(left, "x");
    this.moment = moment;
    this.places.onMoment(moment);
    const near = inside ? this.#near(left, top) : [];
    this.#showTip(near, left, top);
  }

  #near(left, top) {
    const reach = (HIT_PIXELS * (this.view[1] - this.view[0])) / this.plot.over.clientWidth;
    const moment = this.plot.posToVal(left, "x");
    return this.marks
      .filter((mark) => Math.abs(mark.x - moment) <= reach)
      .map((mark) => {
        const height = mark.decision.type === "note" ? this.plot.over.clientHeight - 6 : this.plot.valToPos(mark.y, "y");
        const away = Math.hypot(this.plot.valToPos(mark.x, "x") - left, height - top);
        return { ...mark, away };
      })
      .filter((mark) => mark.away <= HIT_PIXELS)
      .sort((a, b) => a.away - b.away);
  }

  #showTip(near, left, top) {
    // On a narrow screen there is no room beside a marker: what it says stands below the chart.
    const below = this.places.chart.clientWidth < NARROW_PIXELS;
    if (below !== this.tip.classList.contains("below")) {
      this.tip.classList.toggle("below", below);
      if (below) this.places.chart.after(this.tip);
      else this.plot.over.append(this.tip);
    }
    this.tip.hidden = near.length === 0;
    if (!near.length) return;
    const shown = near.slice(0, TIPS_MAX).map(({ decision }, row) =>
      this.places.describe(decision, row > 0 && decision.utc === near[row - 1].decision.utc));
    if (near.length > TIPS_MAX) shown.push(element("p", { class: "more" }, `and ${near.length - TIPS_MAX} more here: zoom in`));
    this.tip.replaceChildren(...shown);
    if (below) return;
    const { clientWidth: width, clientHeight: height } = this.plot.over;
    const x = left + 16 + this.tip.offsetWidth > width ? left - 16 - this.tip.offsetWidth : left + 16;
    const y = Math.min(Math.max(top - this.tip.offsetHeight / 2, 4), height - this.tip.offsetHeight - 4);
    this.tip.style.transform = `translate(${Math.round(Math.max(x, 4))}px, ${Math.round(Math.max(y, 4))}px)`;
  }

  // To a moment with as much around it as tells its story, and the cursor on it.
  jump(decision) {
    this.chosen = decision.index;
    const [first, last] = this.session.whole;
    const width = this.view[1] - this.view[0];
    if (width < (last - first) * 0.5) this.setView(decision.t - width / 2, decision.t + width / 2);
    else this.setView(...this.#around(decision.t));
    const mark = this.chart.marks.find((other) => other.decision.index === decision.index);
    this.#point(decision.t, mark?.y ?? null);
  }

  // The cursor on a moment and a price, to the microsecond: pixels are coarser than that. The plot moves
  // in a microtask, and the cursor has to come after it.
  #point(moment, price) {
    queueMicrotask(() => queueMicrotask(() => {
      const left = this.plot.valToPos(moment, "x");
      const top = price === null ? this.plot.over.clientHeight - 6 : this.plot.valToPos(price, "y");
      this.exact = { moment, left, from: this.view[0] };
      this.plot.setCursor({ left, top });
      this.plot.redraw(false, false);
    }));
  }

  #around(moment) {
    const { times } = this.chart;
    const at = countUntil(times, moment);
    const from = times[Math.max(at - 250, 0)] ?? moment;
    const to = times[Math.min(at + 150, times.length - 1)] ?? moment;
    const least = (this.session.whole[1] - this.session.whole[0]) / 400;
    return [Math.min(from, moment - least), Math.max(to, moment + least)];
  }

  // The cursor some ticks on, or a twentieth of the view.
  walk(ticks, far) {
    const { times, values } = this.chart;
    if (!times.length) return;
    const [from, to] = this.view;
    const moment = this.moment ?? (ticks > 0 ? from : to);
    const next = ticks > 0 ? countUntil(times, moment) : countUntil(times, Math.ceil(moment) - 1) - 1;
    const distant = countUntil(times, moment + (ticks * (to - from)) / 20) - 1;
    const wanted = !far ? next : ticks > 0 ? Math.max(next, distant) : Math.min(next, distant);
    const index = Math.min(Math.max(wanted, 0), times.length - 1);
    const target = times[index];
    if (target < from || target > to) this.setView(target - (to - from) / 2, target + (to - from) / 2);
    this.#point(target, values[index]);
  }
}
