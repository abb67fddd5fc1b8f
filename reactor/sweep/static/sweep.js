"use strict";

// The page: reads the sweep out of itself and puts sentences, maps, charts and tables together.

const at = (id) => document.getElementById(id);

function fail(text) {
  document.documentElement.dataset.failed = text;
  at("failure").textContent = `This picture could not be drawn completely: ${text}`;
  at("failure").hidden = false;
}

addEventListener("error", (event) => fail(event.message));

class SweepPage {
  constructor(session) {
    this.session = session;
    this.#words();
    this.#tiles();
    this.heat = new HeatMaps(session, at("heat"), at("heat-choices"), at("heat-note"));
    this.heat.render();
    this.charts = new SweepCharts(session, {
      scatter: at("scatter"), histogram: at("histogram"), equity: at("equity"), drawdown: at("drawdown"),
      scatterNote: at("scatter-note"), histogramNote: at("histogram-note"), equityNote: at("equity-note"),
    });
    this.table = new CombinationTable(session, at("rows"), (row) => {
      this.choose(row);
      at("equity-heading").scrollIntoView({ block: "center" });
    });
    if (session.folds.length) {
      at("folds-card").hidden = false;
      showFolds(session, at("folds"));
    }
    this.choose(session.rows.find((row) => row.rank === 1 && row.curve !== null) ?? session.rows.find((row) => row.curve !== null) ?? null);
    this.#environment();
  }

  choose(row) {
    this.row = row;
    const { parameters } = this.session;
    const name = row === null ? "nothing is ranked" : `${row.extra ? "base plan" : `rank ${row.rank ?? "–"}${row.base ? ", base plan" : ""}`} (${
      row.values.map((value, index) => `${parameters[index]}=${value}`).join(" ")})`;
    for (const place of document.querySelectorAll(".chosen")) place.textContent = name;
    const base = this.session.rows.some((one) => one.base && one.curve !== null && one !== row);
    at("legend").replaceChildren(...[["train", "training", true], ["test", "test", this.session.has_test], ["base", "base plan", base]]
      .filter(([, , is]) => is).map(([look, text]) => element("span", { class: "shade-label" }, element("span", { class: "key", "data-look": look }), text)));
    this.table.chosen = row;
    this.table.render();
    this.charts.draw(row);
  }

  #words() {
    const { session } = this;
    at("subtitle").replaceChildren(...session.tried.map((text) => element("bdi", {}, text)));
    const item = (text) => element("li", { class: text.startsWith("WARNING") ? "warning" : null }, text.replace(/^WARNING: /, ""));
    const warnings = session.left_out.filter((text) => text.startsWith("WARNING"));
    at("beliefs").replaceChildren(...[...session.beliefs, ...warnings].map(item));
    const rest = session.left_out.filter((text) => !text.startsWith("WARNING"));
    at("left-out").hidden = !rest.length;
    at("left-out-list").replaceChildren(...rest.map(item));
    at("method").textContent = `R is the realized profit over the initial risk; the fees of entry and exits, ${plain(session.fee_bp)} bp of each fill's value, are taken off except where it says gross. PF is gains over losses, se the standard error as if positions did not overlap.`;
  }

  #tiles() {
    const { session } = this;
    const { field, what } = session.objective;
    const index = session.fields.indexOf(field);
    const best = session.rows.find((row) => row.rank === 1);
    const base = session.rows.find((row) => row.base);
    const tiles = [];
    const value = (row, part) => (row ? fieldText(field === "trades" ? "trades" : field, row[part][index]) : "–");
    const isBad = (row, part) => Boolean(row) && session.objective.more && row[part][index] !== null && row[part][index] < 0;
    tiles.push([`best in training: ${what.split(";")[0]}`, value(best, "train"), best ? plural(best.train[0], "position") : "", isBad(best, "train")]);
    if (session.has_test) {
      const ranked = session.rows.filter((row) => row.test_rank !== null).length;
      tiles.push(["the same in the test", value(best, "test"), best ? `place ${best.test_rank ?? "–"} of ${count(ranked)}, ${plural(best.test[0], "position")}` : "", isBad(best, "test")]);
      if (base !== best) tiles.push(["base plan in the test", value(base, "test"), plural(base.test[0], "position"), isBad(base, "test")]);
      tiles.push(["rank correlation", session.correlation === null ? "–" : shown(session.correlation, 2), "training and test", session.correlation !== null && session.correlation < 0]);
    }
    const { luck } = session;
    if (luck) tiles.push(["by chance as good", luck.probability < 0.002 ? "< 0.2 %" : `${(100 * luck.probability).toFixed(1)} %`, `the best of ${count(luck.tried)} by luck: ${shown(luck.expected_best_r)} R`, luck.probability > 0.05]);
    tiles.push(["tried", count(session.combinations), `${plural(session.entries[0], "entry", "entries")} train, ${count(session.entries[1])} test`, false]);
    at("totals").replaceChildren(...tiles.map(([name, text, detail, bad]) => element("div", { class: "tile" },
      element("dt", {}, name), element("dd", { class: bad ? "bad" : null }, text, element("span", { class: "detail" }, detail)))));
  }

  #environment() {
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth === width) return;
      width = innerWidth;
      this.charts.draw(this.row);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.charts.draw(this.row));
    addEventListener("beforeprint", () => { document.documentElement.classList.add("printing"); this.charts.draw(this.row); });
    addEventListener("afterprint", () => { document.documentElement.classList.remove("printing"); this.charts.draw(this.row); });
  }
}

const page = new SweepPage(JSON.parse(at("session").textContent));
document.documentElement.dataset.drawn = String(page.session.rows.length);
