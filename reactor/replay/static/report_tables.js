"use strict";

// What stands beside the chart: totals, the readout, what a marker says, positions and decisions.

const ROWS_AT_FIRST = 200;

const cell = (label, content, properties = {}) =>
  element("td", { "data-label": label, ...properties }, content ?? "–");
const number = (label, text) => cell(label, text, { class: "number" });

// A word in the colour of its line, with that line's or marker's shape before it.
function chip(key) {
  return element("span", { class: "chip", "data-kind": key }, words(key));
}

function chips(keys) {
  const list = element("span", { class: "chips" });
  (keys ?? []).forEach((key) => list.append(chip(key)));
  return list;
}

function side(name) {
  return element("span", { class: "side", "data-side": name }, name);
}

function showTotals(session, place) {
  const { totals } = session;
  const tile = (label, value, detail = null) => element("div", { class: "tile" },
    element("dt", {}, label),
    element("dd", {}, value, detail && element("span", { class: "detail" }, detail)));
  const outcome = [];
  if (totals.won || totals.lost) outcome.push(`${count(totals.won)} won, ${count(totals.lost)} lost`);
  if (totals.open) outcome.push(`${count(totals.open)} still open`);
  const range = totals.r_best === null || totals.closed < 2 ? null
    : `best ${multiple(totals.r_best)}, worst ${multiple(totals.r_worst)}`;
  place.append(
    tile("Realized", totals.realized === null ? "–" : signed(totals.realized), "before fees"),
    tile("R multiples", totals.r_total === null ? "–" : multiple(totals.r_total), range),
    tile("Positions", count(totals.closed + totals.open), outcome.join("; ") || null),
    tile("Exits", count(totals.exits), plural(totals.stop_moves, "stop move")),
    tile("Ticks", totals.ticks === null ? "–" : count(totals.ticks), totals.seconds === null || totals.seconds === undefined ? null
      : `replayed in ${plain(totals.seconds)} s`),
  );
  if (totals.skipped !== null && totals.skipped !== undefined) {
    place.append(tile("Skipped lines", count(totals.skipped), totals.skipped ? "damaged or cut" : null));
  }
}

// Everything about one decision, as the tip of its marker shows it.
function describe(session, decision, withoutTime) {
  const title = element("p", { class: "tip-title" });
  const rows = element("dl", {});
  const row = (label, value) => {
    if (value === null || value === undefined) return;
    rows.append(element("dt", {}, label), element("dd", {}, value));
  };
  const epoch = session.epochs[decision.epoch];
  if (decision.type === "note") title.append("note");
  if (decision.type === "opened") title.append(side(decision.side), " opened");
  if (decision.type === "exit") title.append(`exit ${decision.number} `, chips(decision.reasons));
  if (decision.type === "closed") title.append(side(decision.side), " closed ", chips(decision.reasons));
  row("note", decision.text);
  row(decision.type === "opened" ? "entry" : "price", decision.price);
  row("quantity", decision.quantity);
  if (decision.type === "exit") row("remaining", decision.remaining);
  row(decision.type === "exit" ? "stop before" : "stop", decision.stop);
  if (decision.type === "opened") {
    row("ATR", epoch.atr);
    row("plan", epoch.plan);
  }
  if (decision.type === "closed") {
    row("realized", epoch.realized === null ? null : signed(epoch.realized));
    row("R multiple", epoch.r_multiple);
  }
  row("tick", decision.tick === undefined ? null : count(decision.tick));
  if (!withoutTime) row("UTC", decision.utc);
  return element("div", { class: "tip-part" }, title, rows);
}

// The exact values at the cursor: the last tick's price, and each open position's levels.
function showReadout(session, sessionChart, moment, place) {
  const { chart } = sessionChart;
  const part = (label, value, kind = null) => element("span", { class: "part" },
    element("span", { class: "part-label" }, label), " ",
    element("span", { class: "part-value", "data-kind": kind }, value));
  const fixed = moment ?? sessionChart.view[1];
  const tick = priceAt(chart, fixed);
  const first = element("div", { class: "readout-line" },
    part("UTC", session.text(moment === null ? Math.min(fixed, session.end) : moment)),
    part("price", tick === null ? "–" : priceText(chart, tick.value)));
  const lines = [first];
  for (const epoch of sessionChart.epochs) {
    if (!openAt(epoch, fixed)) continue;
    const line = element("div", { class: "readout-line" }, side(epoch.side));
    const remaining = remainingAt(session, epoch, fixed);
    const stop = stopAt(epoch, fixed);
    const [next] = epoch.to === fixed ? [] : openTargets(epoch, fixed);
    if (remaining !== null) line.append(part("open", remaining));
    if (epoch.entry !== null) line.append(part("entry", epoch.entry));
    if (stop) line.append(part(words(stop.kind), stop.stop, stop.kind));
    if (next) line.append(part(`target ${next.rung}`, `${next.price} (${percent(next.fraction)})`, "take_profit"));
    lines.push(line);
  }
  if (moment === null) first.append(element("span", { class: "hint" }, "at the end of the view; point at the chart for any other moment"));
  place.replaceChildren(...lines);
}

function showPositions(session, place, jumpToEpoch) {
  if (!session.epochs.length) {
    place.append(element("p", { class: "empty" }, "No position was open in this session."));
    return;
  }
  const heads = ["opened (UTC)", "symbol", "side", "plan", "quantity", "entry", "ATR", "exits", "closed by", "lasted", "realized", "R"];
  const rows = session.epochs.map((epoch) => {
    const go = element("button", { class: "link", type: "button", title: epoch.opened_utc }, shortTime(session, epoch.opened_utc));
    const worth = epoch.r_multiple ?? epoch.realized;
    const sign = worth === null ? null : Number(worth) < 0 ? "lost" : Number(worth) > 0 ? "won" : null;
    return element("tr", { onclick: () => jumpToEpoch(epoch) },
      cell("opened", go), cell("symbol", element("bdi", {}, epoch.symbol)), cell("side", side(epoch.side)),
      cell("plan", epoch.plan === null ? null : element("bdi", {}, epoch.plan)),
      number("quantity", epoch.quantity), number("entry", epoch.entry), number("ATR", epoch.atr),
      number("exits", count(epoch.exits)),
      cell("closed by", epoch.reason === null
        ? `still open${epoch.remaining === null ? "" : `: ${epoch.remaining}`}` : chip(epoch.reason)),
      cell("lasted", duration(epoch.end - epoch.from)),
      number("realized", epoch.realized === null ? null : signed(epoch.realized)),
      cell("R", epoch.r_multiple === null ? null : multiple(epoch.r_multiple),
        { class: "number result", title: epoch.r_multiple, "data-sign": sign }));
  });
  place.append(tableOf(heads, rows, ["quantity", "entry", "ATR", "exits", "realized", "R"]));
}

function tableOf(heads, rows, numeric) {
  const head = element("tr", {}, ...heads.map((name) =>
    element("th", { scope: "col", class: numeric.includes(name) ? "number" : null }, name)));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" },
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
}

// The date is left out where a session has only one.
function shortTime(session, text) {
  const [first = "", last = ""] = session.span;
  const cut = text.replace(/(\.\d{3})\d+$/, "$1");
  return first.slice(0, 10) === last.slice(0, 10) ? cut.slice(11) || cut : cut.slice(5);
}

class DecisionTable {
  constructor(session, place, filters, jump) {
    Object.assign(this, { session, place, jump });
    this.limit = ROWS_AT_FIRST;
    this.symbol = null;
    this.rows = new Map();
    this.types = { opened: true, closed: true, exit: true, stop: true, note: true };
    const many = session.charts.length > 1;
    this.only = false;
    const box = (label, checked, change) => element("label", {},
      Object.assign(element("input", { type: "checkbox", onchange: (event) => { change(event.target.checked); this.render(); } }), { checked }),
      label);
    const has = (type) => session.decisions.some((decision) => decision.type === type);
    if (has("opened") || has("closed")) filters.append(box("opened, closed", true, (on) => { this.types.opened = this.types.closed = on; }));
    if (has("exit")) filters.append(box("exits", true, (on) => { this.types.exit = on; }));
    if (has("stop")) filters.append(box("stop changes its kind", true, (on) => { this.types.stop = on; }));
    if (has("note")) filters.append(box("notes", true, (on) => { this.types.note = on; }));
    if (many) filters.append(box("this symbol only", false, (on) => { this.only = on; }));
  }

  setSymbol(symbol) {
    this.symbol = symbol;
    if (this.only || !this.rows.size) this.render();
  }

  render() {
    const chosen = this.session.decisions.filter((decision) => this.types[decision.type]
      && (!this.only || decision.symbol === undefined || decision.symbol === this.symbol));
    this.rows = new Map();
    if (!chosen.length) {
      this.place.replaceChildren(element("p", { class: "empty" },
        this.session.decisions.length ? "No rows of these kinds." : "Nothing was decided in this session."));
      return;
    }
    const rows = chosen.slice(0, this.limit).map((decision) => this.#row(decision));
    const heads = ["time (UTC)", "symbol", "side", "what", "price", "quantity", "remaining", "stop", "reasons"];
    this.place.replaceChildren(tableOf(heads, rows, ["price", "quantity", "remaining", "stop"]));
    if (chosen.length > this.limit) {
      this.place.append(element("button", { type: "button", class: "more", onclick: () => this.all() },
        `Show all ${plural(chosen.length, "row")}`));
    }
    this.mark(this.chosen);
  }

  all() {
    this.limit = Infinity;
    this.render();
  }

  #row(decision) {
    const epoch = this.session.epochs[decision.epoch];
    const go = element("button", { class: "link", type: "button", title: decision.utc }, shortTime(this.session, decision.utc));
    const what = { opened: "opened", exit: `exit ${decision.number}`, closed: "closed", stop: "stop is now", note: "note" }[decision.type];
    const reasons = chips(decision.reasons);
    if (decision.type === "note") reasons.append(element("bdi", { class: "note" }, decision.text));
    if (decision.type === "opened" && epoch.plan) reasons.append(element("bdi", { class: "note" }, `plan ${epoch.plan}`));
    if (decision.type === "closed" && epoch.r_multiple !== null) reasons.append(element("span", { class: "note" }, multiple(epoch.r_multiple)));
    const row = element("tr", { onclick: () => this.jump(decision), "data-type": decision.type },
      cell("time", go),
      cell("symbol", decision.symbol === undefined ? null : element("bdi", {}, decision.symbol)),
      cell("side", decision.side === undefined ? null : side(decision.side)),
      cell("what", what),
      number("price", decision.price), number("quantity", decision.quantity),
      number("remaining", decision.remaining), number("stop", decision.stop), cell("reasons", reasons));
    this.rows.set(decision.index, row);
    return row;
  }

  mark(index) {
    this.rows.get(this.chosen)?.removeAttribute("aria-current");
    this.chosen = index;
    this.rows.get(index)?.setAttribute("aria-current", "true");
  }
}
