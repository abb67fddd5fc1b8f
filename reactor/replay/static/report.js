"use strict";

// The page: reads the session out of itself and puts chart, buttons and tables together.

const at = (id) => document.getElementById(id);

function fail(text) {
  document.documentElement.dataset.failed = text;
  at("failure").textContent = `This picture could not be drawn completely: ${text}`;
  at("failure").hidden = false;
}

addEventListener("error", (event) => fail(event.message));

const button = (label, title, onclick) => element("button", { type: "button", title, "aria-label": title, onclick }, label);

class Page {
  constructor(session) {
    this.session = session;
    this.step = -1;
    this.#header();
    const places = {
      chart: at("chart"),
      overview: at("overview"),
      describe: (decision, withoutTime) => describe(session, decision, withoutTime),
      onMoment: (moment) => showReadout(session, this.chart, moment, at("readout")),
    };
    this.chart = new SessionChart(session, places, () => {
      if ((this.chart.moment ?? null) === null) places.onMoment(null);
    });
    this.table = new DecisionTable(session, at("rows"), at("filters"), (decision) => this.jump(decision));
    showPositions(session, at("positions"), (epoch) => this.jumpToEpoch(epoch));
    if (!session.charts.length) {
      this.table.render();
      for (const id of ["chart", "overview", "readout", "keys"]) at(id).hidden = true;
      at("legend").append(element("p", { class: "empty" }, "There is nothing to draw: no price and no decision."));
      document.documentElement.dataset.drawn = "0";
      return;
    }
    this.#tabs();
    this.#buttons();
    this.#keys();
    this.select(session.charts[0]);
    this.#environment();
    this.#fromAddress();
  }

  #header() {
    const { session } = this;
    const { span, plans, totals } = session;
    const parts = [];
    if (span.length) parts.push(`${span[0]} – ${span[1]} UTC (${duration(session.end - session.start)})`);
    if (plans.length) parts.push(`${plans.length === 1 ? "plan" : "plans"} ${plans.join(", ")}`);
    at("subtitle").replaceChildren(...parts.map((part) => element("bdi", {}, part)));
    showTotals(session, at("totals"));
    const thinned = [];
    const drawn = session.charts.reduce((sum, chart) => sum + chart.times.length, 0);
    if (totals.ticks > drawn) thinned.push(`The price is drawn from ${count(drawn)} of ${count(totals.ticks)} ticks: of every stretch of time the first, lowest, highest and last.`);
    if (totals.stop_moves > totals.stop_moves_drawn) thinned.push(`Of ${count(totals.stop_moves)} stop moves ${count(totals.stop_moves_drawn)} are drawn; the stop at every exit is exact.`);
    if (totals.left_out) thinned.push(`${plural(totals.left_out, "later decision is", "later decisions are")} not in this picture: it holds the first ${count(session.decisions.length)}.`);
    at("thinned").textContent = thinned.join(" ");
  }

  #tabs() {
    const { charts } = this.session;
    at("symbols").hidden = charts.length < 2;
    this.tabs = charts.map((chart, index) => {
      const exits = this.session.exits.filter((exit) => exit.symbol === chart.symbol).length;
      const tab = element("button", {
        type: "button", role: "tab", "aria-controls": "chart", onclick: () => this.select(chart),
        onkeydown: (event) => {
          const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
          if (!by) return;
          event.preventDefault();
          const next = (index + by + charts.length) % charts.length;
          this.select(charts[next]);
          this.tabs[next].focus();
        },
      }, element("bdi", {}, chart.symbol), " ", element("span", { class: "detail" }, plural(exits, "exit")));
      at("symbols").append(tab);
      return tab;
    });
  }

  select(chart) {
    const index = this.session.charts.indexOf(chart);
    this.tabs.forEach((tab, other) => {
      tab.setAttribute("aria-selected", String(other === index));
      tab.tabIndex = other === index ? 0 : -1;
    });
    if (this.chart.chart === chart) return;
    this.chart.show(chart);
    this.table.setSymbol(chart.symbol);
    this.#legend();
    this.#sides();
  }

  // What is drawn, each with its line or marker, and a switch for it.
  #legend() {
    const { chart } = this;
    const entries = [["price", "price", "price"], ["stop", "stop", "stops"], ["targets", "targets", "target"],
      ["entry", "entry", "entry"], ["risk", "risk, locked in", "risk"], ["exits", "exits", "exits"]];
    if (chart.chart.marks.some((mark) => mark.decision.type === "note")) entries.push(["notes", "notes", "note"]);
    const boxes = entries.map(([layer, label, look]) => {
      const input = element("input", { type: "checkbox", onchange: (event) => {
        chart.layers[layer] = event.target.checked;
        if (layer === "price") chart.plot.setSeries(1, { show: event.target.checked });
        chart.refresh();
      } });
      input.checked = chart.layers[layer];
      const entry = element("label", {}, input, element("span", { class: "key", "data-look": look }), label);
      if (layer === "stop") entry.append(this.#stopKinds());
      return entry;
    });
    const fit = element("input", { type: "checkbox", onchange: (event) => {
      chart.fitAll = event.target.checked;
      chart.refresh();
    } });
    fit.checked = chart.fitAll;
    boxes.push(element("label", { class: "fit", title: "Widen the price axis until every level is in view" }, fit, "fit all levels"));
    const colours = shadeColours(this.session);
    const labels = new Map(chart.chart.shades.map((shade) => [shade.label, colours.get(shade.key)]));
    for (const [label, colour] of labels) {
      boxes.push(element("span", { class: "shade-label" },
        element("span", { class: "key", "data-look": `shade-${colour}` }), element("bdi", {}, label)));
    }
    at("legend").replaceChildren(...boxes);
    if (!chart.layers.price) chart.plot.setSeries(1, { show: false });
  }

  #stopKinds() {
    const kinds = new Set(this.chart.chart.epochs.flatMap((epoch) => epoch.kinds.map(([, kind]) => kind)));
    return element("span", { class: "kinds" }, ...[...kinds].map((kind) => chip(kind)));
  }

  #sides() {
    const { sides } = this.chart.chart;
    const place = at("sides");
    place.replaceChildren();
    if (sides.length < 2) return;
    for (const name of [null, ...sides]) {
      const choice = element("button", { type: "button", "aria-pressed": String(this.chart.side === name), onclick: () => {
        this.chart.side = name;
        this.chart.refresh();
        this.#sides();
      } }, name ?? "both sides");
      place.append(choice);
    }
  }

  #buttons() {
    at("steps").append(
      button("‹ exit", "Previous exit (P)", () => this.nextExit(-1)),
      button("exit ›", "Next exit (N)", () => this.nextExit(1)),
      element("span", { id: "which", class: "which" }));
    at("zooms").append(
      button("◀", "Earlier (Page Up)", () => this.chart.pan(-0.4)),
      button("▶", "Later (Page Down)", () => this.chart.pan(0.4)),
      button("−", "Zoom out", () => this.chart.zoom(2)),
      button("+", "Zoom in", () => this.chart.zoom(0.5)),
      button("whole session", "Whole session (Esc)", () => this.chart.whole()));
    at("steps").hidden = this.session.exits.length === 0;
  }

  #keys() {
    const actions = {
      ArrowLeft: (far) => this.chart.walk(-1, far),
      ArrowRight: (far) => this.chart.walk(1, far),
      "+": () => this.chart.zoom(0.5, this.chart.moment), "=": () => this.chart.zoom(0.5, this.chart.moment),
      "-": () => this.chart.zoom(2, this.chart.moment), "_": () => this.chart.zoom(2, this.chart.moment),
      PageUp: () => this.chart.pan(-0.4), PageDown: () => this.chart.pan(0.4),
      n: () => this.nextExit(1), p: () => this.nextExit(-1), N: () => this.nextExit(1), P: () => this.nextExit(-1),
      Escape: () => this.chart.whole(), 0: () => this.chart.whole(),
    };
    at("chart").addEventListener("keydown", (event) => {
      const action = actions[event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      action(event.shiftKey);
      setTimeout(() => { at("spoken").textContent = at("readout").innerText; }, 300);
    });
  }

  nextExit(by) {
    const { exits } = this.session;
    if (!exits.length) return;
    const from = this.step < 0 && by < 0 ? exits.length : this.step;
    this.jump(exits[(from + by + exits.length) % exits.length], { scroll: false });
  }

  jump(decision, { scroll = true } = {}) {
    const chart = this.session.charts.find((other) => other.symbol === decision.symbol) ?? this.chart.chart;
    if (chart) this.select(chart);
    if (this.chart.side !== null && decision.side !== undefined && this.chart.side !== decision.side) {
      this.chart.side = null;
      this.#sides();
    }
    if (decision.type === "exit") {
      this.step = decision.number - 1;
      at("which").textContent = `${count(decision.number)} of ${count(this.session.exits.length)}`;
    }
    this.chart.jump(decision);
    this.table.mark(decision.index);
    if (scroll) this.#toChart();
    history.replaceState?.(null, "", `#decision-${decision.index + 1}`);
  }

  jumpToEpoch(epoch) {
    this.select(this.session.charts.find((chart) => chart.symbol === epoch.symbol));
    this.chart.rest();
    const margin = Math.max((epoch.end - epoch.from) * 0.08, 100_000);
    this.chart.setView(epoch.from - margin, epoch.end + margin);
    this.#toChart();
  }

  #toChart() {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    at("readout").scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
    at("chart").focus({ preventScroll: true });
  }

  // An address that ends in #decision-12 opens there.
  #fromAddress() {
    const [, wanted] = /^#decision-(\d+)$/.exec(location.hash) ?? [];
    const decision = this.session.decisions[Number(wanted) - 1];
    if (decision) this.jump(decision);
  }

  #environment() {
    let width = at("chart").clientWidth;
    new ResizeObserver(() => {
      if (at("chart").clientWidth === width || document.documentElement.classList.contains("printing")) return;
      width = at("chart").clientWidth;
      this.chart.resize();
    }).observe(at("chart"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.chart.restyle());
    addEventListener("beforeprint", () => this.#printing(true));
    addEventListener("afterprint", () => this.#printing(false));
  }

  #printing(on) {
    document.documentElement.classList.toggle("printing", on);
    if (on) this.table.all();
    this.chart.restyle();
    this.chart.resize(on ? 690 : null);
  }
}

function start() {
  const session = new Session(JSON.parse(at("session").textContent));
  window.page = new Page(session);
}

try {
  start();
} catch (error) {
  fail(String(error));
  throw error;
}
