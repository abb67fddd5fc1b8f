"use strict";

// The numbers of the page, unpacked, and the questions that are asked of them. Times are whole
// microseconds since the session's first second, so that they and their sums are exact.

// How many of a rising list are at or before a moment.
function countUntil(list, moment) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] <= moment) low = middle + 1;
    else high = middle;
  }
  return low;
}

function sums(differences) {
  let sum = 0;
  return differences.map((difference) => (sum += difference));
}

class Session {
  constructor(raw) {
    Object.assign(this, raw);
    this.baseUs = raw.base_s * MICROSECONDS;
    // A session of one instant still has a width to be drawn in.
    const margin = Math.max((raw.end - raw.start) * 0.02, raw.end > raw.start ? 1 : 500_000);
    this.whole = [raw.start - margin, raw.end + margin];
    this.epochs = raw.epochs.map((epoch, index) => this.#epoch(epoch, index));
    this.decisions = raw.decisions.map((decision, index) => ({ ...decision, index }));
    this.exits = this.decisions.filter((decision) => decision.type === "exit");
    this.exits.forEach((exit, index) => { exit.number = index + 1; });
    this.charts = raw.symbols.map((entry) => this.#chart(entry));
  }

  #epoch(epoch, index) {
    return {
      ...epoch,
      index,
      end: epoch.to ?? this.end,
      long: epoch.side === "LONG",
      entryPrice: epoch.entry === null ? null : Number(epoch.entry),
      stopTimes: sums(epoch.stop_times),
      stopPrices: epoch.stops.map(Number),
      targets: epoch.targets.map(([price, fraction, taken], rung) => ({
        price, fraction, taken, rung: rung + 1, value: price === null ? null : Number(price),
      })),
    };
  }

  #chart({ symbol, prices, shades }) {
    const times = sums(prices.t);
    const values = prices.scale === null ? prices.p : sums(prices.p).map((p) => p / Number(`1e${prices.scale}`));
    const epochs = this.epochs.filter((epoch) => epoch.symbol === symbol);
    const chart = { symbol, times, values, shades, epochs, scale: prices.scale };
    chart.sides = ["LONG", "SHORT"].filter((side) => epochs.some((epoch) => epoch.side === side));
    chart.marks = this.decisions
      .filter((decision) => decision.symbol === symbol || decision.symbol === undefined)
      .filter((decision) => decision.type !== "stop")
      .map((decision) => ({ decision, x: decision.t, y: this.#height(decision, chart) }))
      .sort((a, b) => a.x - b.x);
    chart.markTimes = chart.marks.map((mark) => mark.x);
    return chart;
  }

  // Where a decision is drawn: at its own price, or at the price of its moment.
  #height(decision, chart) {
    if (decision.type === "note") return null;
    if (decision.price !== undefined) return Number(decision.price);
    const last = this.exits.findLast?.((exit) => exit.epoch === decision.epoch && exit.t <= decision.t);
    if (last && last.t === decision.t) return Number(last.price);
    return priceAt(chart, decision.t)?.value ?? null;
  }

  text(moment) { return clock(this.baseUs + Math.round(moment)); }
}

// The last tick at or before a moment.
function priceAt(chart, moment) {
  const index = countUntil(chart.times, moment) - 1;
  return index < 0 ? null : { time: chart.times[index], value: chart.values[index], index };
}

// A tick's price with as many decimals as the symbol's prices have.
const priceText = (chart, value) => (chart.scale === null ? plain(value) : value.toFixed(chart.scale));

// The stop as it stood at a moment, with its kind; null before the first.
function stopAt(epoch, moment) {
  const index = countUntil(epoch.stopTimes, moment) - 1;
  return index < 0 ? null : { stop: epoch.stops[index], kind: kindOf(epoch, index), index };
}

function kindOf(epoch, step) {
  let kind = "stop_loss";
  for (const [first, name] of epoch.kinds) {
    if (first > step) break;
    kind = name;
  }
  return kind;
}

// What was open after everything that happened up to a moment.
function remainingAt(session, epoch, moment) {
  let remaining = epoch.quantity;
  for (const exit of session.exits) {
    if (exit.epoch === epoch.index && exit.t <= moment) remaining = exit.remaining;
  }
  return remaining;
}

const openAt = (epoch, moment) => epoch.from <= moment && (epoch.to === null || moment <= epoch.to);
const openTargets = (epoch, moment) =>
  epoch.targets.filter((target) => target.value !== null && (target.taken === null || target.taken > moment));

const SHADE_KEYS = ["BULL", "BEAR", "CHOP", "HIGH_VOL", "NORMAL"];

// The colour of a band: a known regime has its own, others the next of five.
function shadeColours(session) {
  const colours = new Map(SHADE_KEYS.map((key, index) => [key, index]));
  for (const shade of session.charts.flatMap((chart) => chart.shades)) {
    if (!colours.has(shade.key)) colours.set(shade.key, colours.size % SHADE_KEYS.length);
  }
  return colours;
}
