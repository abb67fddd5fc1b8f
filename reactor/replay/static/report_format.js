"use strict";

// How numbers and times are written. Prices and quantities that came as text are shown as they came.

const MICROSECONDS = 1_000_000;
const DAY = 86_400 * MICROSECONDS;

const WORDS = {
  stop_loss: "stop loss", break_even: "break-even", trailing_stop: "trailing stop", manual: "manual",
  take_profit: "take profit", harvest: "harvest", time_stop: "time stop",
  liquidation_guard: "liquidation guard", loss_guard: "loss guard", hard_stop: "hard stop",
  liquidation: "liquidation", adl: "ADL", external: "closed by others", flip: "flipped",
};

const words = (key) => WORDS[key] ?? key;

// A float as its shortest decimal text, never with an exponent.
function plain(number) {
  const text = String(number);
  const [mantissa, exponent] = text.split("e");
  if (exponent === undefined) return text;
  const sign = mantissa.startsWith("-") ? "-" : "";
  const [whole, part = ""] = mantissa.replace("-", "").split(".");
  const digits = whole + part;
  const point = whole.length + Number(exponent);
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  return `${sign}${digits.padEnd(point, "0").slice(0, point)}${digits.length > point ? "." + digits.slice(point) : ""}`;
}

const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const signed = (text) => (text.startsWith("-") || Number(text) === 0 ? text : `+${text}`);
const multiple = (text) => `${signed(Number(text).toFixed(2))} R`;
const percent = (fraction) => `${plain(Math.round(Number(fraction) * 1e6) / 1e4)}\u202f%`;
const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

// How many decimals a step of an axis needs: 0.25 needs two.
function decimals(step) {
  for (let digits = 0; digits < 20; digits += 1) {
    const scaled = step * 10 ** digits;
    if (Math.abs(scaled - Math.round(scaled)) < 1e-6 * scaled) return digits;
  }
  return 20;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");

// Whole microseconds since the Unix epoch (exact in a double) as UTC.
function utc(microseconds) {
  const seconds = Math.floor(microseconds / MICROSECONDS);
  const date = new Date(seconds * 1000);
  const sane = !Number.isNaN(date.getTime());
  return {
    date: sane ? date.toISOString().slice(0, -14) : "?",
    minutes: sane ? `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}` : "?",
    seconds: sane ? two(date.getUTCSeconds()) : "?",
    fraction: String(Math.round(microseconds - seconds * MICROSECONDS)).padStart(6, "0"),
  };
}

function clock(microseconds) {
  const { date, minutes, seconds, fraction } = utc(microseconds);
  const digits = fraction.endsWith("000") ? fraction.slice(0, 3) : fraction;
  return `${date} ${minutes}:${seconds}.${digits}`;
}

function duration(microseconds) {
  const seconds = microseconds / MICROSECONDS;
  if (seconds < 1) return `${plain(Math.round(seconds * 1000))} ms`;
  if (seconds < 60) return `${plain(Math.round(seconds * 10) / 10)} s`;
  const whole = Math.round(seconds);
  const units = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  const first = units.findIndex(([number]) => number > 0);
  return units.slice(first, first + 2).filter(([number]) => number > 0)
    .map(([number, unit]) => `${number} ${unit}`).join(" ");
}

// The steps that a time axis may have, in microseconds.
const TIME_STEPS = [
  ...[1, 10, 100, 1e3, 1e4, 1e5].flatMap((unit) => [unit, 2 * unit, 5 * unit]),
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200]
    .map((seconds) => seconds * MICROSECONDS),
  ...[1, 2, 4, 7, 14, 28, 56, 112, 365].map((days) => days * DAY),
];

// Axis labels: the time as fine as the step asks, the date where it begins or changes.
function timeLabels(moments, step) {
  let shown = "";
  return moments.map((moment) => {
    const { date, minutes, seconds, fraction } = utc(moment);
    let label = minutes;
    if (step < 60 * MICROSECONDS) label += `:${seconds}`;
    if (step < MICROSECONDS) label += `.${step < 1000 ? fraction : fraction.slice(0, 3)}`;
    if (step >= DAY) return date;
    if (date === shown) return label;
    shown = date;
    const [, month, day] = date.split("-");
    return `${label}\n${MONTHS[month - 1] ?? ""} ${Number(day)}`;
  });
}

// An element with text inside; text from the session only ever enters a page through here.
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
