"use strict";

// Moving the view by hand: fingers on the chart (one pans, two zoom), anything on the overview. Dragging
// with a mouse on the chart is the library's own zoom.

function followFingers(chart, over) {
  const fingers = new Map();
  const spread = () => {
    const xs = [...fingers.values()];
    return { centre: xs.reduce((a, b) => a + b, 0) / xs.length, width: Math.max(...xs) - Math.min(...xs) };
  };
  over.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse") return;
    chart.exact = null;
    fingers.set(event.pointerId, event.clientX);
  });
  over.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = spread();
    fingers.set(event.pointerId, event.clientX);
    const after = spread();
    chart.pan((before.centre - after.centre) / over.clientWidth);
    if (before.width > 20 && after.width > 20) {
      const left = after.centre - over.getBoundingClientRect().left;
      const [from, to] = chart.view;
      chart.zoom(before.width / after.width, from + (left / over.clientWidth) * (to - from));
    }
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
    over.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
}

// Dragging the window moves it; dragging beside it chooses another.
function followOverview(chart, over) {
  const [first, last] = chart.session.whole;
  let grip = null;
  const moment = (event) => {
    const { left, width } = over.getBoundingClientRect();
    return first + ((event.clientX - left) / width) * (last - first);
  };
  over.addEventListener("pointerdown", (event) => {
    over.setPointerCapture(event.pointerId);
    const at = moment(event);
    const [from, to] = chart.view;
    const isWhole = to - from > (last - first) * 0.98;
    grip = at >= from && at <= to && !isWhole ? { from: from - at, to: to - at } : { start: at };
  });
  over.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const at = moment(event);
    if (grip.start === undefined) chart.setView(at + grip.from, at + grip.to);
    else chart.setView(Math.min(grip.start, at), Math.max(grip.start, at));
  });
  for (const end of ["pointerup", "pointercancel"]) over.addEventListener(end, () => { grip = null; });
  over.addEventListener("dblclick", () => chart.whole());
}
