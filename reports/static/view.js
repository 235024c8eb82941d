// The stretch of time on the screen. Every panel draws through one View, so they never disagree.

class View {
  constructor(data) {
    this.tickNs = data.tick_ns;
    this.zero = data.zero;
    this.end = Math.max(1, data.end);
    this.width = 1000;
    this.gutter = 118;
    this.all();
  }

  all() {
    const margin = this.end * 0.01;
    this.from = -margin;
    this.to = this.end + margin;
  }

  get span() { return this.to - this.from; }
  get inner() { return Math.max(1, this.width - this.gutter - 10); }

  x(tick) { return this.gutter + (tick - this.from) / this.span * this.inner; }
  tick(x) { return this.from + (x - this.gutter) / this.inner * this.span; }

  set(from, to) {
    const least = Math.min(20, this.end), most = this.end * 1.04;
    const span = Math.min(Math.max(to - from, least), most);
    const middle = Math.min(Math.max((from + to) / 2, -this.end * 0.02 + span / 2 - this.end * 0.02), this.end * 1.04 - span / 2);
    this.from = middle - span / 2;
    this.to = middle + span / 2;
  }

  zoom(factor, x) {
    const at = x === undefined ? (this.from + this.to) / 2 : this.tick(x);
    this.set(at - (at - this.from) * factor, at + (this.to - at) * factor);
  }

  pan(ticks) { this.set(this.from + ticks, this.to + ticks); }

  show(from, to) {
    if (from < this.from || to > this.to) this.pan((from + to) / 2 - (this.from + this.to) / 2);
  }

  ns(tick) { return (tick - this.zero) * this.tickNs; }

  // A point in time, from the start of the load, as fine as the window is.
  time(tick) { return formatTime(this.ns(tick), this.span * this.tickNs / 1000, this.unit); }

  // One unit for the whole window: that of its far end.
  get unit() {
    const far = Math.max(Math.abs(this.ns(this.from)), Math.abs(this.ns(this.to)));
    return UNITS.find(([size]) => far >= size) ?? UNITS.at(-1);
  }

  length(ticks) { return formatLength(ticks * this.tickNs); }

  // Round times across the window: [tick, label]...
  grid() {
    const spanNs = this.span * this.tickNs, step = roundStep(spanNs / Math.max(2, this.inner / 110));
    const lines = [];
    for (let ns = Math.ceil(this.ns(this.from) / step) * step; ns <= this.ns(this.to); ns += step) {
      lines.push([ns / this.tickNs + this.zero, formatTime(ns, step, this.unit)]);
      if (lines.length > 100) break;
    }
    return lines;
  }
}

function roundStep(ideal) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, ideal)));
  for (const digit of [1, 2, 5, 10]) if (digit * power >= ideal) return digit * power;
  return 10 * power;
}

const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

// As many digits as the resolution needs.
function formatTime(ns, resolution, [unit, name]) {
  const digits = Math.min(9, Math.max(0, Math.ceil(Math.log10(unit / Math.max(1, resolution)) - 1e-9)));
  const text = (ns / unit).toFixed(digits);
  return `${Number(text) === 0 ? text.replace("-", "") : text} ${name}`;
}

function formatLength(ns) {
  for (const [unit, name] of UNITS) {
    if (Math.abs(ns) >= unit || unit === 1) {
      const value = ns / unit;
      return `${value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ${name}`;
    }
  }
  return "";
}
