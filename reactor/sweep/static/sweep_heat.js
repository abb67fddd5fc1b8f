"use strict";

// Two parameters against each other, training and test side by side on one scale.

const CELLS_MAX = 12;

class HeatMaps {
  constructor(session, place, choices, note) {
    Object.assign(this, { session, place, choices, note });
    const [across, down] = session.heat ?? [0, null];
    this.state = { across, down, measure: session.objective.field, others: "mean" };
  }

  render() {
    this.#choices();
    const parts = this.session.has_test ? ["train", "test"] : ["train"];
    const cells = Object.fromEntries(parts.map((part) => [part, this.#cells(part)]));
    const values = parts.flatMap((part) => cells[part].flat()).map((cell) => cell.value).filter((value) => value !== null);
    const most = Math.max(...values.map(Math.abs), 1e-12);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const isSigned = low < 0 && this.state.measure !== "max_drawdown_r";
    const shade = (value) => {
      if (isSigned) return [value < 0 ? "--loss" : "--gain", 0.06 + 0.6 * Math.abs(value) / most];
      return ["--gain", high > low ? 0.06 + 0.6 * (value - low) / (high - low) : 0.3];
    };
    this.place.replaceChildren(...parts.map((part) => this.#map(part, cells[part], shade)));
    const measure = MEASURE_NAMES[this.state.measure];
    const others = this.session.parameters.length > (this.state.down === null ? 1 : 2);
    this.note.textContent = `A cell is ${measure}${others ? (this.state.others === "mean"
      ? ", the mean over the other parameters" : ", with the other parameters as the best in training has them") : ""}; both maps have one scale. The outlined cell has the best in training. A good value among bad neighbours is luck; a good region that both maps share is worth a look.`;
  }

  #choices() {
    const { parameters } = this.session;
    const select = (name, label, options) => {
      const box = element("select", { "aria-label": label, onchange: (event) => {
        const value = event.target.value;
        this.state[name] = name === "measure" || name === "others" ? value : value === "" ? null : Number(value);
        if (name === "across" && this.state.down === this.state.across) this.state.down = null;
        this.render();
        this.choices.querySelector(`[aria-label="${label}"]`).focus();
      } }, ...options.map(([value, text]) => element("option", { value, selected: String(this.state[name] ?? "") === String(value) ? "" : null }, text)));
      return element("label", {}, `${label} `, box);
    };
    const numbered = parameters.map((key, at) => [at, key]);
    const found = [select("across", "across", numbered)];
    if (parameters.length > 1) found.push(select("down", "down", [...numbered.filter(([at]) => at !== this.state.across), ["", "nothing"]]));
    found.push(select("measure", "shows", Object.entries(MEASURE_NAMES)));
    if (parameters.length > (this.state.down === null ? 1 : 2)) found.push(select("others", "others", [["mean", "mean over them"], ["best", "as the best has them"]]));
    this.choices.replaceChildren(...found);
  }

  // The steps of a parameter: its values, or ranges of them where there are many.
  #steps(at) {
    if (at === null) return [{ label: "", holds: () => true }];
    const values = [...new Set(this.session.rows.filter((row) => !row.extra).map((row) => row.values[at]))];
    const numbers = values.map(Number);
    if (numbers.some(Number.isNaN)) return values.map((value) => ({ label: value, holds: (one) => one === value }));
    numbers.sort((one, other) => one - other);
    if (numbers.length <= CELLS_MAX) return numbers.map((value) => ({ label: plain(value), holds: (one) => Number(one) === value }));
    return Array.from({ length: 8 }, (_, step) => {
      const from = numbers[Math.floor((step * numbers.length) / 8)];
      const to = numbers[Math.floor(((step + 1) * numbers.length) / 8)] ?? Infinity;
      return { label: to === Infinity ? `${plain(from)}…` : `${plain(from)}–${plain(to)}`, holds: (one) => Number(one) >= from && Number(one) < to };
    });
  }

  #cells(part) {
    const { session, state } = this;
    const field = session.fields.indexOf(state.measure);
    const best = session.rows.find((row) => row.rank === 1);
    const [columns, lines] = [this.#steps(state.across), this.#steps(state.down)];
    return lines.map((line) => columns.map((column) => {
      const inside = session.rows.filter((row) => !row.extra && column.holds(row.values[state.across])
        && (state.down === null || line.holds(row.values[state.down]))
        && (state.others === "mean" || !best || row.values.every((value, at) => at === state.across || at === state.down || value === best.values[at])));
      const values = inside.map((row) => row[part][field]).filter((value) => value !== null && value < HUGE);
      const positions = inside.reduce((sum, row) => sum + row[part][0], 0);
      return {
        value: values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null,
        count: inside.length, positions,
        best: Boolean(best) && inside.includes(best),
      };
    }));
  }

  #map(part, cells, shade) {
    const { session, state } = this;
    const [columns, lines] = [this.#steps(state.across), this.#steps(state.down)];
    const name = session.has_test ? { train: "Training", test: "Test" }[part] : "All entries";
    const head = element("thead", {},
      element("tr", {}, state.down === null ? null : element("th", { class: "down" }, `${session.parameters[state.down]} ↓`),
        element("th", { class: "across", colspan: columns.length }, `${session.parameters[state.across]} →`)),
      element("tr", {}, state.down === null ? null : element("td", {}),
        ...columns.map((column) => element("th", { scope: "col" }, column.label))));
    const body = element("tbody", {}, ...lines.map((line, row) => element("tr", {},
      state.down === null ? null : element("th", { scope: "row", class: "down" }, line.label),
      ...cells[row].map((cell) => {
        const box = element("td", {
          class: [cell.value === null ? "nothing" : "", cell.best ? "best" : ""].join(" ").trim() || null,
          title: `${plural(cell.count, "combination")}, ${plural(cell.positions, "position")}`,
        }, cell.value === null ? "–" : heatText(cell.value, state.measure));
        if (cell.value !== null) {
          const [colour, alpha] = shade(cell.value);
          box.style.background = `rgb(var(${colour}) / ${(100 * alpha).toFixed(0)}%)`;
        }
        return box;
      }))));
    const caption = element("caption", {}, element("span", { class: "key", "data-look": part }), ` ${name}`);
    return element("div", { class: "heat-scroll" }, element("table", { class: "heat" }, caption, head, body));
  }
}

const MEASURE_NAMES = {
  mean_r: "mean R after fees", gross_r: "mean R without fees", median_r: "median R after fees", total_r: "sum of R",
  win_rate: "share won", profit_factor: "gains over losses", max_drawdown_r: "deepest fall, R", recovery: "sum over deepest fall",
  mean_over_sd: "mean over standard deviation", trades: "closed positions", mean_hours: "hours open",
};

function heatText(value, measure) {
  if (measure === "win_rate") return `${(100 * value).toFixed(0)} %`;
  if (measure === "trades") return count(Math.round(value));
  if (measure === "total_r" || measure === "max_drawdown_r" || measure === "mean_hours") return value.toFixed(1).replace("-", "−");
  return shown(value, 2);
}
