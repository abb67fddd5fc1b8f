"use strict";

// The tables of a sweep: all combinations, sortable, and the steps of walking forward.

const ROWS_AT_FIRST = 100;
const SHOWN_FIELDS = ["trades", "mean_r", "error_r", "gross_r", "median_r", "win_rate", "profit_factor", "max_drawdown_r"];
const FIELD_NAMES = {
  trades: "n", mean_r: "mean R", error_r: "± 2 se", gross_r: "gross", median_r: "median", win_rate: "won",
  profit_factor: "PF", max_drawdown_r: "max fall",
};

function fieldText(field, value) {
  if (value === null) return "–";
  if (value > HUGE) return "∞";
  if (field === "trades") return count(value);
  if (field === "win_rate") return `${(100 * value).toFixed(0)} %`;
  if (field === "profit_factor") return value.toFixed(2);
  if (field === "max_drawdown_r") return value.toFixed(1);
  if (field === "error_r") return value.toFixed(3);
  return shown(value, 3);
}

class CombinationTable {
  constructor(session, place, onChosen) {
    Object.assign(this, { session, place, onChosen, chosen: null, shown: ROWS_AT_FIRST, order: { at: 0, up: true } });
    const { fields, parameters } = session;
    const part = (name) => SHOWN_FIELDS.map((field) => ({
      label: FIELD_NAMES[field], part: name, of: (row) => row[name][fields.indexOf(field)],
      text: (row) => fieldText(field, row[name][fields.indexOf(field)]),
    }));
    this.columns = [
      { label: "rank", of: (row) => row.rank ?? (row.extra ? 0.5 : Infinity), text: (row) => (row.extra ? "base" : `${row.rank ?? "–"}${row.base ? " base" : ""}`) },
      ...parameters.map((key, at) => ({
        label: key, of: (row) => (row.values[at] === "" || Number.isNaN(Number(row.values[at])) ? row.values[at] : Number(row.values[at])),
        text: (row) => row.values[at],
      })),
      ...part("train"),
      ...(session.has_test ? [{ label: "rank", part: "test", of: (row) => row.test_rank ?? Infinity, text: (row) => String(row.test_rank ?? "–") }, ...part("test")] : []),
    ];
  }

  render() {
    const { columns, order } = this;
    const column = columns[order.at];
    const rows = [...this.session.rows].sort((one, other) => {
      const [first, second] = [column.of(one), column.of(other)];
      if (first === null || second === null) return (first === null) - (second === null);
      const way = typeof first === typeof second && first < second ? -1 : first > second ? 1 : 0;
      return order.up ? way : -way;
    });
    const head = element("tr", {}, ...columns.map((one, at) => element("th", {
      class: `number${one.part ? ` of-${one.part}` : ""}`,
      "aria-sort": at === order.at ? (order.up ? "ascending" : "descending") : null, scope: "col",
    }, element("button", { type: "button", onclick: () => this.#sort(at) }, `${one.part ? `${one.part}\n` : ""}${one.label}`))));
    const body = rows.slice(0, this.shown).map((row) => element("tr", { "aria-current": row === this.chosen ? "true" : null },
      ...columns.map((one, at) => element("td", { class: "number", "data-label": `${one.part ?? ""} ${one.label}`.trim() },
        at === 0 && row.curve !== null
          ? element("button", { type: "button", class: "link", onclick: () => this.onChosen(row) }, one.text(row)) : one.text(row)))));
    const table = element("table", { class: "combinations" }, element("thead", {}, head), element("tbody", {}, ...body));
    const more = rows.length > this.shown
      ? element("button", { type: "button", class: "more", onclick: () => { this.shown = Infinity; this.render(); } }, `Show all ${count(rows.length)}`) : null;
    const left = this.session.left
      ? element("p", { class: "keys" }, `${plural(this.session.left, "more combination is", "more combinations are")} in the CSV file only.`) : null;
    this.place.replaceChildren(element("div", { class: "scroll" }, table), ...[more, left].filter(Boolean));
  }

  #sort(at) {
    const label = this.columns[at].part;
    const up = this.order.at === at ? !this.order.up : !label || this.columns[at].label === "rank";
    this.order = { at, up };
    this.render();
    this.place.querySelectorAll("th button")[at].focus();
  }
}

function showFolds(session, place) {
  const { fields } = session;
  const value = (measures, field) => fieldText(field, measures[fields.indexOf(field)]);
  const names = ["train until (UTC)", "best in training", "train n", "mean R", "test n", "mean R", "won", "rank correlation"];
  const rows = session.folds.map((fold) => [
    fold.cut, fold.best === null ? "–" : fold.best.map((one, at) => `${session.parameters[at]}=${one}`).join(" "),
    value(fold.train, "trades"), value(fold.train, "mean_r"), value(fold.test, "trades"), value(fold.test, "mean_r"),
    value(fold.test, "win_rate"), fold.correlation === null ? "–" : shown(fold.correlation, 2),
  ]);
  rows.push(["all tests", "", "", "", value(session.walked, "trades"), value(session.walked, "mean_r"), value(session.walked, "win_rate"), ""]);
  const numeric = (at) => (at > 1 ? "number" : null);
  place.replaceChildren(element("table", { class: "combinations" },
    element("thead", {}, element("tr", {}, ...names.map((name, at) => element("th", { class: numeric(at), scope: "col" }, name)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, at) => element("td", { class: numeric(at), "data-label": names[at] }, cell)))))));
}
