// Elements, texts, and the charts.

const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

/** An element. What is not an element becomes text: nothing that comes from a server or a peer is ever read as HTML. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Sets a text only if it differs, so that a selection of the mouse stays. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A text of a peer: what would not be seen, or would turn around the text beside it, is shown as its code. */
function clean(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (sign) => `\\u{${sign.codePointAt(0).toString(16)}}`);
}

const number = (value) => (value < 10_000 ? (Number.isInteger(value) ? value : Number(value.toPrecision(3))).toLocaleString("en")
  : value < 1e6 ? `${(value / 1e3).toFixed(1)} k` : value < 1e9 ? `${(value / 1e6).toFixed(2)} M` : `${(value / 1e9).toFixed(2)} G`);
const whole = (value) => value.toLocaleString("en");

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; value >= 1000 && at < units.length - 1; at++) value /= 1024;
  return `${at && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

/** A short time, in seconds. */
function took(seconds) {
  if (seconds < 1e-3) return `${Number((seconds * 1e6).toPrecision(3))} µs`;
  if (seconds < 1) return `${Number((seconds * 1e3).toPrecision(3))} ms`;
  return seconds < 100 ? `${Number(seconds.toPrecision(3))} s` : age(seconds * 1000);
}

/** A long time, in milliseconds: its two largest units. */
function age(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.floor(ms / 1000);
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

/** The next larger number of one digit, with zeros; of bytes in their unit. */
function rounded(value, base) {
  const unit = base ** Math.floor(Math.log(value) / Math.log(base) + 1e-9);
  const power = unit * 10 ** Math.floor(Math.log10(value / unit) + 1e-9);
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

const KEPT = 180;
const WIDTH = 300;
const HEIGHT = 84;
const TOP = 14;

/** A chart of the last `KEPT` seconds. A `logarithmic` one is for times, base 1024 for bytes. A value that is `null` is a gap. */
class Chart {
  constructor(title, series, format, { logarithmic = false, base = 10 } = {}) {
    Object.assign(this, { series, format, logarithmic, base, history: [], pointed: undefined });
    this.when = make("span");
    this.values = series.map(() => make("b", {}, "–"));
    const legend = series.map(({ name, color }, at) => {
      const key = make("i");
      key.style.background = color;
      return make("div", {}, this.values[at], " ", make("span", {}, ...(series.length > 1 ? [key] : []), name));
    });
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    const path = (name) => {
      const element = document.createElementNS(SVG, "path");
      element.setAttribute("class", name);
      return this.svg.appendChild(element);
    };
    path("grid").setAttribute("d", `M0 ${TOP}H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}`);
    this.area = path("area");
    this.area.style.fill = series[0].color;
    this.paths = series.map(({ color }) => {
      const line = path("curve");
      line.style.stroke = color;
      return line;
    });
    this.mark = path("mark");
    [this.high, this.low] = [make("span", { className: "high" }), make("span", { className: "low" })];
    const plot = make("div", { className: "plot" }, this.svg, this.high, this.low);
    plot.onpointermove = (event) => this.point(event.offsetX / plot.clientWidth);
    plot.onpointerleave = () => this.point(undefined);
    this.figure = make("figure", {}, make("figcaption", {}, make("span", {}, title), this.when), make("div", { className: "values" }, ...legend), plot);
  }

  /** Adds what is so now. */
  add(time, values) {
    this.history.push({ time, values });
    while (this.history[0].time < time - KEPT * 1000) this.history.shift();
    this.draw();
  }

  forget() {
    this.history = [];
  }

  point(share) {
    this.pointed = share;
    if (this.history.length) this.draw();
  }

  draw() {
    const now = this.history.at(-1).time;
    const x = (time) => WIDTH * (1 + (time - now) / (KEPT * 1000));
    const [low, high] = this.bounds();
    const y = (value) => HEIGHT - 0.5 - ((HEIGHT - TOP - 0.5) * (this.scale(value) - this.scale(low))) / (this.scale(high) - this.scale(low));
    this.paths.forEach((path, at) => path.setAttribute("d", this.line(at, x, y)));
    this.area.setAttribute("d", this.logarithmic ? "" : this.filled(x, y));
    say(this.high, this.format(high));
    say(this.low, this.logarithmic ? this.format(low) : "");
    let shown = this.history.at(-1);
    if (this.pointed !== undefined) {
      const wanted = now - KEPT * 1000 * (1 - this.pointed);
      shown = this.history.reduce((best, one) => (Math.abs(one.time - wanted) < Math.abs(best.time - wanted) ? one : best));
    }
    this.mark.setAttribute("d", this.pointed === undefined ? "" : `M${x(shown.time)} ${TOP}V${HEIGHT}`);
    say(this.when, this.pointed === undefined ? "3 min" : `${Math.round((now - shown.time) / 1000)} s ago`);
    this.values.forEach((value, at) => say(value, shown.values[at] === null ? "–" : this.format(shown.values[at])));
  }

  scale(value) {
    return this.logarithmic ? Math.log10(Math.max(value, 1e-7)) : value;
  }

  bounds() {
    const all = this.history.flatMap(({ values }) => values).filter((value) => value !== null);
    if (!this.logarithmic) return [0, rounded(Math.max(...all, this.series[0].least), this.base)];
    if (!all.length) return [1e-6, 1e-3];
    const low = 10 ** Math.floor(Math.log10(Math.max(Math.min(...all), 1e-7)) + 1e-9);
    return [low, Math.max(10 ** Math.ceil(Math.log10(Math.max(...all)) - 1e-9), low * 10)];
  }

  line(at, x, y) {
    let isDrawing = false;
    return this.history.map(({ time, values }) => {
      if (values[at] === null) return (isDrawing = false), "";
      const step = `${isDrawing ? "L" : "M"}${x(time).toFixed(1)} ${y(values[at]).toFixed(1)}`;
      // A value between two gaps is a dot.
      const dot = isDrawing ? "" : "h0.01";
      isDrawing = true;
      return step + dot;
    }).join("");
  }

  filled(x, y) {
    const points = this.history.filter(({ values }) => values[0] !== null);
    if (!points.length) return "";
    const line = points.map(({ time, values }) => `L${x(time).toFixed(1)} ${y(values[0]).toFixed(1)}`).join("");
    return `M${x(points[0].time).toFixed(1)} ${HEIGHT}${line}L${x(points.at(-1).time).toFixed(1)} ${HEIGHT}Z`;
  }
}
