"use strict";

// How high the chart is: which prices its price axis spans for the moments in view.

const ROOM_FOR_STOPS = 5;
const ROOM_FOR_TARGETS = 2.5;

// The prices in view, then the levels in view, nearest first, while they do not squeeze the price to a
// flat line. Those that would are named at the edge instead.
function heights(sessionChart) {
  const { chart, view: [from, to], fitAll } = sessionChart;
  let [low, high] = [Infinity, -Infinity];
  const end = countUntil(chart.times, to);
  for (let index = Math.max(countUntil(chart.times, from) - 1, 0); index < end; index += 1) {
    low = Math.min(low, chart.values[index]);
    high = Math.max(high, chart.values[index]);
  }
  const span = high - low;
  const distance = ({ value }) => Math.max(value - high, low - value, 0);
  const levels = levelsInView(sessionChart, from, to);
  for (const { value, room } of levels.sort((a, b) => distance(a) - distance(b))) {
    const wider = Math.max(high, value) - Math.min(low, value);
    if (fitAll || !(span > 0) || wider <= span * room) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (!(high >= low)) return [0, 1];
  const margin = (high - low) * 0.07 || Math.abs(high) * 0.001 || 1;
  return [low - margin, high + margin];
}

function levelsInView({ epochs, layers, pixelsPerMoment }, from, to) {
  const levels = [];
  const add = (value, room) => levels.push({ value, room });
  for (const epoch of epochs) {
    if (epoch.end < from || epoch.from > to) continue;
    if (layers.entry && epoch.entryPrice !== null) add(epoch.entryPrice, ROOM_FOR_STOPS);
    if (layers.stop) {
      const first = Math.max(countUntil(epoch.stopTimes, from) - 1, 0);
      const stops = epoch.stopPrices.slice(first, countUntil(epoch.stopTimes, to));
      if (stops.length) {
        add(stops.reduce((a, b) => Math.min(a, b)), ROOM_FOR_STOPS);
        add(stops.reduce((a, b) => Math.max(a, b)), ROOM_FOR_STOPS);
      }
    }
    if (layers.targets && hasTargetsDrawn(epoch, pixelsPerMoment)) {
      for (const target of epoch.targets) {
        if (target.value !== null && (target.taken ?? epoch.end) >= from) add(target.value, ROOM_FOR_TARGETS);
      }
    }
  }
  return levels;
}
